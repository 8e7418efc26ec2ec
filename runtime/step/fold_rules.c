/* fold_rules.c -- the table of rewrites: which two calls become one. No other file of runtime/step names an operation.
 *
 * In the letters of fold.c, with x, g images, w a kernel:
 *
 *     A F(x, w)  = F(x, V)        W(x, A'g) = v(W(x, g))        I(A'g, w) = I(g, V)        sum of A'g = sum of g
 *     F(Ux, w)   = I(x, V)        W(Ux, g)  = v(W(g, x))        U'I(g, w) = F(g, V)
 *
 * The replacement gets the image that the inner call got. With V, its second operand is V, and a bias is added if the convolution
 * has one; for the gradient of V, its first operand is the outer call's other one. */
#include "fold.h"

const fold_rule ms_fold_rules[] = {
    /* outer,          operand, inner,             becomes,                  kernel,             how the two are found */
    {MS_OP_avg_pool2d, 0, MS_OP_conv2d, MS_OP_conv2d, FOLD_WITH_V, ms_fold_behind},
    {MS_OP_conv2d_weight_grad, 1, MS_OP_avg_pool2d_grad, MS_OP_conv2d_weight_grad, FOLD_GRADIENT_OF_V, ms_fold_all_readers},
    {MS_OP_conv2d_input_grad, 0, MS_OP_avg_pool2d_grad, MS_OP_conv2d_input_grad, FOLD_WITH_V, ms_fold_all_readers},
    {MS_OP_sum, 0, MS_OP_avg_pool2d_grad, MS_OP_sum, FOLD_NO_KERNEL, ms_fold_all_readers},
    {MS_OP_conv2d, 0, MS_OP_interpolate, MS_OP_conv2d_input_grad, FOLD_WITH_V, ms_fold_reader},
    {MS_OP_conv2d_weight_grad, 0, MS_OP_interpolate, MS_OP_conv2d_weight_grad, FOLD_GRADIENT_OF_V, ms_fold_reader},
    {MS_OP_interpolate_grad, 0, MS_OP_conv2d_input_grad, MS_OP_conv2d, FOLD_WITH_V, ms_fold_behind},
};
const int ms_fold_n_rules = sizeof ms_fold_rules / sizeof *ms_fold_rules;

const int ms_fold_product = MS_OP_matmul, ms_fold_addition = MS_OP_add;
