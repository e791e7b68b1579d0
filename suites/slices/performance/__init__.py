"""Tables 5 and 6: what slices gain, placement real, execution modelled."""
