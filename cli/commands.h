/* Every command: one file cli/NAME.c, one line here. X(name, function, summary) */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#define COMMAND_TABLE(X)                                                                           \
  X("run", command_run, "from a trace to its evaluated synthetic twin")                            \
  X("import", command_import, "traces to a dataset")                                               \
  X("info", command_info, "what a dataset, model or constraints file holds")                       \
  X("split", command_split, "split a dataset by time into train, val and test")                    \
  X("train", command_train, "train a generator")                                                   \
  X("generate", command_generate, "make a synthetic dataset with a trained generator")             \
  X("constraints", command_constraints, "mine constraints from a dataset")                         \
  X("check", command_check, "the distances of a dataset from mined constraints")                   \
  X("repair", command_repair, "change a dataset, as little as possible, until it obeys")           \
  X("predict", command_predict, "train and score the next-event predictor")                        \
  X("evaluate", command_evaluate, "fidelity, utility and memorisation of a synthetic dataset")     \
  X("export", command_export, "a dataset as a trace that other tools open")

#define DECLARE(name, function, summary) int function(int argc, char **argv);
COMMAND_TABLE(DECLARE)
#undef DECLARE

#endif
