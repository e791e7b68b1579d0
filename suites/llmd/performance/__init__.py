"""What asking an endpoint picker costs (Figure 5) and gains (Figures 6 and 7)."""
