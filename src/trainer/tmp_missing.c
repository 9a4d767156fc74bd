#include "learner.h"
#include "churn/explain.h"
#include "checks.h"
#include <string.h>
const ChurnLearner churn_learner_rules = {.name="rules"};
#ifdef NONET
const ChurnLearner churn_learner_network = {.name="neural_network"};
#endif
struct ChurnExplainer {int n;};
ChurnExplainer *churn_explainer_make(const ChurnModel *m, ChurnArena *k, ChurnArena *s, ChurnError *e) {ChurnExplainer *x=churn_arena_alloc(k,sizeof(*x),e); x->n=m->nfeatures; return x;}
size_t churn_explainer_workspace(const ChurnExplainer *x){return 64;}
void churn_explain_row(const ChurnExplainer *x,const float *f,void *w,double *c){memset(c,0,(x->n+1)*sizeof(double));}
void churn_checks_run(const ChurnTable *t,size_t a,size_t b,ChurnIssues *i){}
const ChurnLearner churn_learner_network = {.name="neural_network"};
const ChurnLearner churn_learner_logistic = {.name="logistic"};
ChurnValue *churn_issues_value(const ChurnIssues *i, ChurnArena *a, ChurnError *e){return churn_value_array(a,e);}
