"""A task that the package does not know: how bright an image is on average.

An image is NG whose mean grey value lies too far from what the settings call nominal. Why is told
by a second output of the same network: the mean grey value of each band of rows.
"""
