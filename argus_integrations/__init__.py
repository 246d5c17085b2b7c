"""`ArgusCallback` for Lightning, the Hugging Face Trainer and Keras 3, one module per framework.

There is `ArgusTracker` for loops under Accelerate, and `sklearn.evaluate` for models without epochs.

Importing this package imports none of them; `argus_integrations.lightning` imports Lightning, and so on.
"""
