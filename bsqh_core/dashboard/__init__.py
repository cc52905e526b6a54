"""What pages share: the form, the live view of a run, charts. The only importer of streamlit."""
