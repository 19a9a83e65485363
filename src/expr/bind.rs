//! Syntax → typed expressions: resolves names, coerces operands, folds constants.
