"""Official metrics as `evaluate.Metric` modules, in percent; `xgrl.evaluation.scoring` names them.

Anyone can load one: ``evaluate.load("lib/xgrl/evaluation/metrics/<file>.py", "<metric>")``.

=================== ========= ====================== ======================== ====================
metric              file      tasks                  predictions (n)          references (n)
=================== ========= ====================== ======================== ====================
accuracy            accuracy  xnli, pawsx, xcopa     class names or indices   the same
retrieval_accuracy  accuracy  tatoeba                candidate ids            the same
span_f1             chunk_f1  panx, slots            lists of BIO tags        the same
tag_f1              chunk_f1  udpos                  lists of tags            the same
squad               answers   xquad, tydiqa, SQuAD   texts                    lists of gold texts
mlqa                answers   mlqa (takes language)  texts                    lists of gold texts
mrr                 ranking   mewslix                lists of ids, best first lists of right ids
map                 ranking   lareqa                 lists of ids, best first lists of right ids
mined_f1            mined_f1  bucc2018               "source id<tab>target"   so; any number
=================== ========= ====================== ======================== ====================
"""
