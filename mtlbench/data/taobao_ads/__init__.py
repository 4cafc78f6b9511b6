"""Taobao's ads: impressions and clicks, with tables of ads and users and a log of behaviour."""
