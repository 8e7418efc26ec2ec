-- What ?ml.NAME says: classical learning. The form is told in docs.lua. X and y in examples: 30 samples of 2 numbers, labels 1..2.
return [==[
ml: ms.ml, classical learning: estimators with scikit-learn's definitions and defaults
  Made with options, fitted to samples, then asked: ml.knn { k = 3 }:fit(X, y):predict(Z). Samples are N x features (more dimensions are
  flattened), labels whole numbers from 1. Methods of all: ?estimator
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.random_forest { trees = 5 }:fit(X, y):predict(X).shape
ml.knn { k = 5, weights = "uniform", metric = "euclidean", classes = } -> estimator
  The k nearest neighbours, exact. weights "distance": votes count 1 / distance; metric "euclidean", "cosine" or "manhattan"; classes: how
  many
  there are, else the largest label. Methods fit, predict, predict_proba, score, neighbours.
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.knn { k = 1 }:fit(X, y):score(X, y)
ml.knn_regressor { k = 5, weights = "uniform", metric = "euclidean" } -> estimator
  Predicts numbers: the mean over the k nearest neighbours, weighted by 1 / distance with weights "distance". y: N numbers, or N x m.
  > local X = ms.rand { 30, 2 }
  > ml.knn_regressor { k = 3 }:fit(X, X:sum(2)):predict(X).shape
ml.random_forest { trees = 100, criterion = "gini", max_depth =, max_features = "sqrt", min_leaf = 1, min_split = 2, bootstrap = true,
    oob_score = false, seed =, classes = } -> estimator
  Trees by the gini criterion or by "entropy", each on a bootstrap sample. max_features: looked at per split, "sqrt", "all", a number, or a
  fraction (1 is one of them, 1.0 all); seed: else drawn from the generator that ms.seed sets. After fit: .feature_importances; with
  oob_score
  .oob_score, .oob_decision_function.
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.random_forest({ trees = 10, seed = 1 }):fit(X, y).feature_importances
ml.random_forest_regressor { trees = 100, max_depth =, max_features = "all", min_leaf = 1, min_split = 2, bootstrap = true,
    oob_score = false, seed = } -> estimator
  A forest that predicts numbers: the mean over the trees of the mean in a leaf; splits by squared error.
  > local X = ms.rand { 30, 2 }
  > ml.random_forest_regressor({ trees = 5 }):fit(X, X:sum(2)):predict(X).shape
ml.decision_tree { criterion = "gini", max_depth =, max_features = "all", min_leaf = 1, min_split = 2, seed =, classes = } -> estimator
  One tree on all samples; the seed decides between splits of equal gain. After fit: .feature_importances
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.decision_tree({ max_depth = 3 }):fit(X, y):depth()
ml.decision_tree_regressor { max_depth =, max_features = "all", min_leaf = 1, min_split = 2, seed = } -> estimator
  One tree that predicts numbers.
  > local X = ms.rand { 30, 2 }
  > ml.decision_tree_regressor({ max_depth = 3 }):fit(X, X:sum(2)):predict(X).shape
ml.isolation_forest { trees = 100, max_samples = "auto", contamination = "auto", seed = } -> estimator
  Scores how unlike the others a sample is, without labels (Liu, Ting, Zhou 2008). max_samples: each tree is grown on so many, "auto": 256
  or
  all; contamination: the share of anomalies among the training samples, which sets .offset. predict gives 1 for the usual, -1 for
  anomalies.
  > ml.isolation_forest({ trees = 10, seed = 1 }):fit(ms.randn { 50, 2 }):score_samples(ms.randn { 4, 2 }).shape
ml.logistic_regression { C = 1, fit_intercept = true, tol = 1e-4, max_iter = 100, class_weight =, classes = } -> estimator
  Makes 1/2 |w|^2 + C * sum of losses least (C = math.huge: no penalty), by L-BFGS in f64; binary or multinomial. class_weight: "balanced",
  or a
  list of a weight per class. After fit: .coef, .intercept, .classes, .n_iter, .converged, .objective
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.logistic_regression():fit(X, y).coef.shape
ml.label_propagation { kernel = "rbf", gamma = 20, n_neighbors = 7, max_iter = 1000, tol = 1e-3 } -> estimator
  Labels (0: none) flow along similarities of samples until they rest, given ones do not change. kernel "rbf", exp(-gamma distance^2)
  between
  all samples, or "knn". X may be a graph of ml.kneighbors_graph. After fit: .transduction (N labels), .label_distributions, .classes,
  .n_iter
  > local X, y = ms.rand { 30, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 15 }
  > ml.label_propagation():fit(X, y).transduction.shape
ml.label_spreading { kernel = "rbf", gamma = 20, n_neighbors = 7, alpha = 0.2, max_iter = 30, tol = 1e-3 } -> estimator
  As ml.label_propagation, by the normalised Laplacian, each label kept with weight 1 - alpha.
  > local X, y = ms.rand { 30, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 15 }
  > ml.label_spreading():fit(X, y).transduction.shape
ml.poisson_learning { k = 10, max_iter = 1000, mbo = false } -> estimator
  For very few labels (0: none): they are sources of a flow over the graph of k nearest neighbours (Calder et al. 2020). mbo: cuts between
  classes become short and the classes as large as their shares of the labels. After fit: .transduction, .label_distributions, .classes
  > local X, y = ms.rand { 30, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 15 }
  > ml.poisson_learning({ k = 5 }):fit(X, y).transduction.shape
ml.kneighbors_graph(X [, { k = 5, metric = "euclidean", mode = "connectivity", symmetric = "none", include_self = false }]) -> graph
  Edges from each sample to its k nearest others. mode, the weight at distance d: "connectivity" 1, "distance" d, "gaussian" exp(-4 d^2 /
  r_i^2), "self_tuning" exp(-d^2 / (r_i r_j)); symmetric: "mean" or "max" of both directions. Fields nodes, first, column, weight.
  > ml.kneighbors_graph(ms.rand { 30, 2 }, { k = 3 }):dense().shape
graph: what ml.kneighbors_graph gives
  > ml.kneighbors_graph(ms.rand { 30, 2 }).nodes
graph:matmul(F) -> W F (f64): the weighted sums over the neighbours of each node; F: N x c or N
  > ml.kneighbors_graph(ms.rand { 30, 2 }):matmul(ms.ones { 30 }).shape
graph:degree() -> the sum of the weights of each node's edges (f64, N)
  > ml.kneighbors_graph(ms.rand { 30, 2 }):degree().shape
graph:dense() -> the N x N matrix of weights (f32)
  > ml.kneighbors_graph(ms.rand { 30, 2 }):dense().shape
ml.pca { components = } -> estimator
  Principal components: the directions of largest variance; all there are if no number is named. transform gives codes, inverse goes back.
  After fit: .components (k x d), .mean, .explained_variance, .explained_variance_ratio
  > ml.pca({ components = 2 }):fit(ms.rand { 30, 5 }):transform(ms.rand { 3, 5 }).shape
ml.tsne { components = 2, perplexity = 30, early_exaggeration = 12, learning_rate = "auto", max_iter = 1000,
    n_iter_without_progress = 300, min_grad_norm = 1e-7, init = "pca", seed =, method = "barnes_hut", angle = 0.5, progress = } -> estimator
  t-SNE (van der Maaten, Hinton 2008): places samples in a plane, neighbours near. init "pca", "random" or points; method "exact" takes all
  pairs; progress = false shows no bar. After fit_transform: .embedding, .kl_divergence, .n_iter, .learning_rate
  > ml.tsne({ perplexity = 5, max_iter = 250, progress = false }):fit_transform(ms.rand { 30, 4 }).shape
ml.trustworthiness(X, embedding [, n_neighbors = 5]) -> number from 0 to 1
  Are the nearest points of an embedding near among the samples, too? 1: all are.
  > ml.trustworthiness(ms.rand { 30, 4 }, ms.rand { 30, 2 })
ml.kmeans { clusters = 8, init = "k-means++", n_init = 1, max_iter = 300, tol = 1e-4, seed = } -> estimator
  k-means by Lloyd's iterations; init may be the centres to start from; n_init times, of which the best is kept. After fit: .centers,
  .labels, .inertia, .n_iter
  > ml.kmeans({ clusters = 3, seed = 1 }):fit(ms.rand { 30, 2 }).centers.shape
ml.gaussian_mixture { components = 1, covariance_type = "full", tol = 1e-3, reg_covar = 1e-6, max_iter = 100, n_init = 1,
    seed = } -> estimator
  A mixture of gaussians by expectation and maximisation. covariance_type "full", "tied", "diag" or "spherical". After fit: .weights,
  .means,
  .covariances, .lower_bound, .n_iter, .converged. Also bic, aic, score_samples.
  > ml.gaussian_mixture({ components = 2, seed = 1 }):fit(ms.randn { 30, 2 }).means.shape
ml.standard_scaler { with_mean = true, with_std = true } -> estimator
  Brings each feature to mean 0 and variance 1; a constant one is only moved. After fit: .mean, .scale
  > ml.standard_scaler():fit_transform(ms.rand { 30, 2 }):mean(1)
ml.min_max_scaler { feature_range = { 0, 1 } } -> estimator
  Brings each feature to that range; a constant one to its lower end. After fit: .data_min, .data_max
  > ml.min_max_scaler():fit_transform(ms.rand { 30, 2 }):amax(1)
estimator: a model of ml: ml.knn, ml.random_forest, ml.pca, ...
  Which methods one has: Tab behind its name. X: N x features; y: N labels from 1 (regressors: numbers).
  > ml.pca()
estimator:fit(X [, y]) -> the estimator, fitted
  > ml.pca():fit(ms.rand { 10, 2 })
estimator:predict(X) -> labels (i64, N), or numbers (f32) of regressors
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.knn():fit(X, y):predict(X).shape
estimator:predict_proba(X) -> N x classes: how likely each class is
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.knn():fit(X, y):predict_proba(X):sum(2):allclose(ms.ones { 30 })
estimator:score(X, y) -> number: the accuracy of classifiers, R^2 of regressors, the mean log density of mixtures
  > local X, y = ms.rand { 30, 2 }, ms.randint(1, 2, { 30 })
  > ml.knn { k = 1 }:fit(X, y):score(X, y)
estimator:transform(X) -> what the samples become: codes, scaled features, distances to the centres
  > ml.pca({ components = 1 }):fit(ms.rand { 10, 2 }):transform(ms.rand { 3, 2 }).shape
estimator:fit_transform(X) -> fit, then what the samples become
  > ml.standard_scaler():fit_transform(ms.rand { 10, 2 }).shape
estimator:inverse(codes) -> samples: what transform made these of
  > ml.pca({ components = 1 }):fit(ms.rand { 10, 2 }):inverse(ms.rand { 3, 1 }).shape
estimator:fit_predict(X) -> labels (i64) of the samples it is fitted to
  > ml.kmeans({ clusters = 2 }):fit_predict(ms.rand { 10, 2 }).shape
estimator:decision_function(X) -> scores
  Of a logistic regression positive for the second class (N x classes of more); of an isolation forest negative for anomalies.
  > ml.isolation_forest({ trees = 5 }):fit(ms.rand { 20, 2 }):decision_function(ms.rand { 3, 2 }).shape
estimator:score_samples(X) -> N numbers: of an isolation forest near -1 for anomalies; of a mixture the log density
  > ml.gaussian_mixture():fit(ms.randn { 20, 2 }):score_samples(ms.randn { 3, 2 }).shape
estimator:neighbours(X [, k]) -> row numbers of the training samples (i64, N x k), distances (f32), nearest first
  > ml.knn():fit(ms.rand { 20, 2 }):neighbours(ms.rand { 3, 2 }, 2)
estimator:nodes([tree]) -> number of nodes, of one tree or of all together
  > ml.decision_tree():fit(ms.rand { 20, 2 }, ms.randint(1, 2, { 20 })):nodes() >= 1
estimator:depth([tree]) -> edges on the longest path from the root, in one tree or in any
  > ml.decision_tree({ max_depth = 2 }):fit(ms.rand { 20, 2 }, ms.randint(1, 2, { 20 })):depth() <= 2
estimator:bic(X) -> the Bayesian information criterion of a mixture: less is better
  > ml.gaussian_mixture():fit(ms.randn { 20, 2 }):bic(ms.randn { 20, 2 })
estimator:aic(X) -> Akaike's information criterion of a mixture: less is better
  > ml.gaussian_mixture():fit(ms.randn { 20, 2 }):aic(ms.randn { 20, 2 })
estimator:state_dict() -> tensors by name: everything needed to go on, for ms.save
  > ml.pca():fit(ms.rand { 10, 2 }):state_dict().mean
estimator:load_state_dict(state) -> the estimator, which predicts what the saved one did
  > local pca = ml.pca():fit(ms.rand { 10, 2 })
  > ml.pca():load_state_dict(pca:state_dict())
ml.accuracy(predicted, truth) -> share of the labels that agree
  > ml.accuracy(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }))
ml.confusion(predicted, truth [, classes]) -> classes x classes counts (i64), rows predicted, columns true
  > ml.confusion(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }))
ml.confused(confusion) -> list of { predicted, true class, count }: the cells off the diagonal that hold samples, the fullest first
  > ml.confused(ml.confusion(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" })))
ml.precision(predicted, truth [, { average = "binary", positive =, classes =, zero_division = 0 }]) -> of those told to be of a class,
    the share that is
  average: "binary" (bools, 0 and 1, or labels of which `positive` is looked for), or for labels from 1 "macro" (mean over the classes),
  "weighted" (by how often they occur), "micro" (over all samples), "none" (a tensor, one per class).
  > ml.precision(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }), { average = "macro" })
ml.recall(predicted, truth [, { average = "binary", positive =, classes =, zero_division = 0 }]) -> of those that are of a class,
    the share that was told
  > ml.recall(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }), { average = "macro" })
ml.f1(predicted, truth [, { average = "binary", positive =, classes =, zero_division = 0 }]) -> harmonic mean of precision and recall
  > ml.f1(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }), { average = "macro" })
ml.classification_report(predicted, truth [, { names =, classes =, digits = 2, zero_division = 0 }]) -> text
  Precision, recall, F1 and support of each class that occurs, the accuracy, and both averages. names: what to call classes 1, 2, ...
  > ml.classification_report(ms.tensor({ 1, 2, 2 }, { dtype = "i64" }), ms.tensor({ 1, 2, 1 }, { dtype = "i64" }))
ml.auroc(score, truth [, { positive =, average = "macro" }]) -> number: the area under the ROC curve
  The share of pairs of a positive and a negative sample in which the positive one has the larger score, ties counting half. Of several
  classes: score N x classes, truth labels; each class against the rest, "macro", "weighted" or "none".
  > ml.auroc(ms.tensor { 0.1, 0.4, 0.8 }, ms.tensor { false, true, true })
ml.average_precision(score, truth [, { positive = }]) -> number
  Sum over the thresholds of (recall gained) * precision.
  > ml.average_precision(ms.tensor { 0.1, 0.4, 0.8 }, ms.tensor { false, true, true })
ml.roc_curve(score, truth [, { positive =, drop_intermediate = true }]) -> false positive rates, true positive rates, thresholds
  score: N, larger for positive ones; truth: N bools, 0 and 1, or labels of which `positive` is the positive one.
  > ml.roc_curve(ms.tensor { 0.1, 0.4, 0.8 }, ms.tensor { false, true, true })
ml.precision_recall_curve(score, truth [, { positive =, drop_intermediate = false }]) -> precision, recall, thresholds
  By rising threshold, with precision 1 and recall 0 at the end.
  > ml.precision_recall_curve(ms.tensor { 0.1, 0.4, 0.8 }, ms.tensor { false, true, true })
ml.r2(predicted, truth) -> coefficient of determination of N predictions
  > ml.r2(ms.tensor { 1, 2, 3 }, ms.tensor { 1, 2, 4 })
ml.mse(predicted, truth) -> mean squared error of N predictions
  > ml.mse(ms.tensor { 1, 2, 3 }, ms.tensor { 1, 2, 4 })
ml.mae(predicted, truth) -> mean absolute error of N predictions
  > ml.mae(ms.tensor { 1, 2, 3 }, ms.tensor { 1, 2, 4 })
ml.silhouette_score(X, labels) -> number from -1 to 1: 1 is best, near 0 clusters overlap
  > ml.silhouette_score(ms.rand { 10, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 5 })
ml.silhouette_samples(X, labels) -> (b - a) / max(a, b) of each sample
  a: its mean distance to its own cluster, b: that to the nearest other one; 0 where it is alone.
  > ml.silhouette_samples(ms.rand { 10, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 5 }).shape
ml.davies_bouldin_score(X, labels) -> number: how like each cluster is to the one most like it, on average; 0 is best
  > ml.davies_bouldin_score(ms.rand { 10, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 5 })
ml.calinski_harabasz_score(X, labels) -> number: variance between clusters over that within; more is better
  > ml.calinski_harabasz_score(ms.rand { 10, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 5 })
ml.adjusted_rand_score(labels_true, labels_pred) -> number: how often two clusterings agree about pairs of samples
  0 on average for random ones, 1 for equal ones, whatever their clusters are called.
  > ml.adjusted_rand_score(ms.tensor({ 1, 1, 2 }, { dtype = "i64" }), ms.tensor({ 2, 2, 1 }, { dtype = "i64" }))
ml.normalized_mutual_info_score(labels_true, labels_pred) -> number from 0 to 1
  What two clusterings tell about one another, over the mean of their entropies.
  > ml.normalized_mutual_info_score(ms.tensor({ 1, 1, 2 }, { dtype = "i64" }), ms.tensor({ 2, 2, 1 }, { dtype = "i64" }))
ml.train_test_split(X, y [, { test = 0.25, stratify = false, seed = }]) -> X_train, X_test, y_train, y_test
  Samples drawn without replacement; test: a share, or a number of samples; stratify = true: the shares of the labels are kept.
  > ml.train_test_split(ms.rand { 20, 2 }, ms.randint(1, 2, { 20 }), { test = 0.5, seed = 1 })
ml.k_fold: for train, test in ml.k_fold(n [, { k = 5, shuffle = false, seed = }]) do
  k times the positions (i64) to train on and to test on; each of 1..n is tested once.
  > for train, test in ml.k_fold(10, { k = 2 }) do print(#train, #test) end
ml.stratified_k_fold: for train, test in ml.stratified_k_fold(y [, { k = 5, shuffle = false, seed = }]) do
  The same; each part has each label in the same share, as far as that goes.
  > for train, test in ml.stratified_k_fold(ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 5 }, { k = 2 }) do print(#train, #test) end
ml.cross_val_score(make, X, y [, { k = 5, shuffle = false, seed = }]) -> list of k scores, one per fold
  make() gives a new estimator, which is fitted to the other folds and scored on this one. Stratified where y are labels.
  > local X, y = ms.rand { 20, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 10 }
  > ml.cross_val_score(function() return ml.knn { k = 1 } end, X, y, { k = 2 })
ml.grid_search { make =, grid = { name = { values } }, X =, y =, k = 5, shuffle = false, seed =, file = } -> { best =, best_settings =,
    best_score =, trials = }
  Every combination, by cross-validation; make(settings) gives an estimator. file: a JSON line for each trial; those that stand in it are
  not
  run again.
  > local X, y = ms.rand { 20, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 10 }
  > ml.grid_search { make = ml.knn, grid = { k = { 1, 3 } }, X = X, y = y, k = 2 }.best_settings
ml.random_search { make =, space =, trials = 10, X =, y =, k = 5, shuffle = false, seed =, file = } -> { best =, best_settings =,
    best_score =, trials = }
  So many draws: space = { name = { values } or function() return value end }.
  > local X, y = ms.rand { 20, 2 }, ms.tensor({ 1, 2 }, { dtype = "i64" }):tile { 10 }
  > ml.random_search { make = ml.knn, space = { k = { 1, 3, 5 } }, trials = 2, X = X, y = y, k = 2, seed = 1 }.best_settings
ml.threshold(scores [, { method = "mad", log = false, k = 3.5, q = 0.98, from = 0.5, weighted = false, risk = 0.001, clean =,
    rate = 0.05 }]) -> threshold, what the method found
  A threshold for anomaly scores without labels: scores above it are unusual. Methods: "mad" (median + k * spread), "quantile" (q), "otsu",
  "gap" (from, weighted), "pot" (extreme values: q, risk), "fdr" (clean = scores of clean samples, rate). log: the rule is applied to their
  logarithms.
  > ml.threshold(ms.rand { 100 }, { method = "quantile", q = 0.9 })
ml.normal([mean = 0, std = 1]) -> the normal distribution
  Methods of all distributions: ?dist
  > ml.normal():ppf(0.975)
ml.chi(df) -> the distribution of the length of a vector of df standard normal numbers
  > ml.chi(128):ppf(0.98)
ml.chi2(df) -> the distribution of the sum of df squared standard normal numbers
  > ml.chi2(3):cdf(7.8147)
ml.beta(a, b) -> the beta distribution on 0 to 1
  > ml.beta(2, 5):pdf(0.2)
dist: a distribution: ml.normal, ml.chi, ml.chi2, ml.beta
  > ml.normal(0, 2)
dist:pdf(x) -> the density at x, a number, or of each element of a tensor (f64)
  > ml.normal():pdf(0)
dist:logpdf(x) -> its logarithm
  > ml.normal():logpdf(0)
dist:cdf(x) -> the probability of values up to x
  > ml.normal():cdf(ms.tensor { 0, 1.96 })
dist:sf(x) -> 1 - cdf(x), exact in the far tail, too
  > ml.normal():sf(10)
dist:ppf(q) -> the x that cdf(x) = q
  > ml.normal():ppf(0.975)
dist:sample(shape) -> independent draws (f64), from the default generator
  > ml.normal():sample({ 2, 3 }).shape
ml.sample_sphere(n, d [, { radius = 1 }]) -> n x d: points on the sphere of that radius, every direction equally likely
  > ml.sample_sphere(5, 3):norm(2, 2)
ml.sample_ball(n, d [, { radius = 1, inner = 0 }]) -> n x d: points in the ball, evenly spread; inner: none nearer to the middle than that
  > ml.sample_ball(5, 3).shape
]==]
