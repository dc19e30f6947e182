"""features: what was known, and when.

Tables of any company come in (:mod:`features.sources`), point-in-time correct
features go out (:mod:`features.assets`). Nothing here knows a model.
"""
