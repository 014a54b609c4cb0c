"""The domain: pure functions and records, with no Streamlit, SQL, network or clock of their own."""
