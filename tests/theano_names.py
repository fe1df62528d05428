"""The names that a user of Theano or PyTensor knows, by the lists in which their documentation has them, and why some are absent."""
from __future__ import annotations

DISTRIBUTIONS = """
    beta gamma dirichlet multivariate_normal categorical t uniform normal standard_normal lognormal triangular chisquare rayleigh pareto
    gumbel exponential weibull logistic vonmises poisson geometric hypergeometric cauchy halfcauchy halfnormal invgamma wald
    truncexpon bernoulli laplace binomial negative_binomial betabinom gengamma multinomial integers choice permutation"""
METHODS = """
    any all argmax argmin argsort astype choose clip compress conj copy cumprod cumsum diagonal dimshuffle dot eval fill flatten max
    mean min nonzero norm prod ptp ravel repeat reshape round searchsorted sort squeeze std sum swapaxes take trace transpose var
    zeros_like"""
LISTS = {
    "elementwise functions": """
        lt gt le ge eq neq isnan isinf switch and_ or_ xor invert abs_ exp exp2 expm1 neg inv log log2 log10 log1p sgn ceil floor trunc
        round_half_to_even round_half_away_from_zero sqr sqrt deg2rad rad2deg cos arccos sin arcsin tan arctan arctan2 cosh arccosh sinh
        arcsinh tanh arctanh erf erfc erfcx erfinv erfcinv gamma gammaln psi tri_gamma chi2sf gammainc gammaincc gammau gammal j0 j1 jv i0
        i1 iv real imag angle complex conj complex_from_polar second maximum minimum add sub mul true_div int_div mod pow clip""",
    "aliases": """
        where switch bitwise_and bitwise_or bitwise_xor bitwise_not square fill floor_div power round iround divmod ceil_intdiv smallest
        largest isclose allclose cast abs minimum maximum""",
    "reductions": "sum prod mean var std max min argmax argmin max_and_argmax any all ptp cov trace norm Out.norm",
    "scan, sort, search, select": """
        cumsum cumprod diff sort argsort topk argtopk topk_and_argtopk searchsorted bincount Unique compress nonzero flatnonzero
        nonzero_values choose take""",
    "shape": """
        reshape flatten dimshuffle transpose swapaxes squeeze join concatenate stack stacklists horizontal_stack vertical_stack split tile
        repeat roll shape_padleft shape_padright shape_padaxis addbroadcast unbroadcast patternbroadcast diagonal diag fill_diagonal
        fill_diagonal_offset tri tril triu permute_row_elements inverse_permutation unravel_index ravel_multi_index specify_shape shape""",
    "create": """
        zeros ones zeros_like ones_like alloc AllocEmpty eye identity_like arange mgrid ogrid bartlett to_one_hot constant
        as_tensor_variable load""",
    "linear algebra": """
        dot tensordot batched_dot batched_tensordot outer matrix_dot pinv matrix_inverse det trace eig eigh qr svd lstsq matrix_power norm
        tensorinv tensorsolve cholesky solve solve_lower_triangular solve_upper_triangular solve_symmetric eigvalsh kron expm""",
    "random": """
        RandomStreams RandomStreams.uniform RandomStreams.normal RandomStreams.binomial RandomStreams.random_integers RandomStreams.choice
        RandomStreams.poisson RandomStreams.permutation RandomStreams.multinomial RandomStreams.shuffle_row_elements MRG_RandomStreams
        MRG_RandomStreams.uniform MRG_RandomStreams.normal MRG_RandomStreams.binomial MRG_RandomStreams.multinomial
        MRG_RandomStreams.choice MRG_RandomStreams.truncated_normal""",
    "FFT": "rfft irfft",
    "typed lists": """
        typed_list.getitem typed_list.append typed_list.extend typed_list.insert typed_list.remove typed_list.reverse typed_list.index
        typed_list.count typed_list.length""",
    "nnet": """
        nnet.sigmoid nnet.ultra_fast_sigmoid nnet.hard_sigmoid nnet.softplus nnet.softsign nnet.relu nnet.elu nnet.selu nnet.softmax
        nnet.logsoftmax nnet.binary_crossentropy nnet.sigmoid_binary_crossentropy nnet.categorical_crossentropy nnet.conv2d
        nnet.conv2d_transpose nnet.conv3d nnet.conv2d_grad_wrt_inputs nnet.conv2d_grad_wrt_weights nnet.conv3d_grad_wrt_inputs
        nnet.conv3d_grad_wrt_weights nnet.separable_conv2d nnet.separable_conv3d nnet.causal_conv1d nnet.bilinear_upsampling
        nnet.frac_bilinear_upsampling nnet.batch_normalization_train nnet.batch_normalization_test nnet.h_softmax nnet.confusion_matrix
        nnet.images2neibs nnet.neibs2images nnet.sparse_block_dot nnet.ctc nnet.pool_2d nnet.pool_3d nnet.max_pool_2d_same_size""",
    "PyTensor's additions": """
        einsum pad flip moveaxis broadcast_to broadcast_arrays expand_dims linspace logspace geomspace full empty median logsumexp logaddexp
        softmax nan_to_num isfinite sign sigmoid expit softplus log1pexp log1mexp matmul vecdot vecmat matvec block_diag slogdet lu
        lu_factor lu_solve schur solve_triangular cho_solve interp convolve1d Indexed.set Indexed.inc vectorize clone_replace graph_replace
        vectorize_graph hessian_vector_product pullback pushforward""",
    "PyTensor's distributions": " ".join(f"random.{name}" for name in DISTRIBUTIONS.split()),
    "methods of tensors": " ".join(f"Out.{name}" for name in METHODS.split())}
"""A dot says where a name is found: Out.norm is a method of tensors, nnet.relu is in the namespace nnet; Indexed is what `x[i]` gives."""

DECOMPOSITIONS, CONVOLUTION, RANDOM, FFT = "linear-algebra decompositions", "convolution and pooling", "random numbers", "FFT"
SPECIAL, LISTS_OF_TENSORS, DISK = "special functions beyond erf", "typed lists", "loading from disk"
REASONS = {
    DECOMPOSITIONS: """
        pinv matrix_inverse det eig eigh qr svd lstsq tensorinv tensorsolve cholesky solve solve_lower_triangular solve_upper_triangular
        solve_symmetric eigvalsh expm slogdet lu lu_factor lu_solve schur solve_triangular cho_solve""",
    CONVOLUTION: """
        nnet.conv2d nnet.conv2d_transpose nnet.conv3d nnet.conv2d_grad_wrt_inputs nnet.conv2d_grad_wrt_weights nnet.conv3d_grad_wrt_inputs
        nnet.conv3d_grad_wrt_weights nnet.separable_conv2d nnet.separable_conv3d nnet.causal_conv1d nnet.bilinear_upsampling
        nnet.frac_bilinear_upsampling nnet.pool_2d nnet.pool_3d nnet.max_pool_2d_same_size convolve1d""",
    RANDOM: LISTS["random"] + " " + LISTS["PyTensor's distributions"],
    FFT: LISTS["FFT"], LISTS_OF_TENSORS: LISTS["typed lists"], DISK: "load",
    SPECIAL: """
        erfcx erfinv erfcinv gamma gammaln psi tri_gamma chi2sf gammainc gammaincc gammau gammal j0 j1 jv i0 i1 iv"""}
ABSENT = {name: reason for reason, names in REASONS.items() for name in names.split()}
NAMES = list(dict.fromkeys(name for names in LISTS.values() for name in names.split()))
