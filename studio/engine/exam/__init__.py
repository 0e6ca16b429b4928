"""The exam over the examples set aside: who takes part, what they are asked, and what they answered before."""
