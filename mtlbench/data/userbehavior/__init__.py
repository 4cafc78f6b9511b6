"""Logs in the format of Taobao's UserBehavior: `user,item,category,behaviour,unix seconds`, no header."""
