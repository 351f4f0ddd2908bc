/* SPDX-License-Identifier: Apache-2.0
 *
 * BatchNormalization after Conv, ConvTranspose or Gemm with constant weights: with
 * s = scale / sqrt(var + epsilon), the weights of output channel c are multiplied by s[c] and the
 * bias becomes (bias - mean) * s + shift. Computed in f64 from the raw constants and rounded once.
 * Left alone where the product is used elsewhere, weights are shared, or a result is not finite.
 */
#include "base/error.h"
#include "passes/edit.h"
#include "passes/pass.h"
#include "tensor/dtype.h"

#include <math.h>
#include <string.h>

/* One pair that can be folded. Weights are [outer, channels, inner] in memory: conv [1, M, ...],
 * transposed conv [C, M/g, ...] with the group found from outer, Gemm [K, N, 1] or [1, N, K]. */
typedef struct pair {
    fer_graph *graph;
    feri_gnode *product;
    feri_gnode *norm;
    fer_tensor *weight;
    fer_tensor *bias; /* or NULL */
    uint64_t channels;
    uint64_t outer;
    uint64_t middle; /* channels per step of outer: channels / groups */
    uint64_t inner;
    uint64_t outer_per_group;
    double *scale; /* channels */
    double *shift; /* channels: of the new bias */
} pair;

static int is_float(const fer_tensor *tensor) {
    fer_dtype dtype = fer_tensor_dtype(tensor);
    return dtype == FER_F32 || dtype == FER_F64 || dtype == FER_F16 || dtype == FER_BF16;
}

static uint64_t product_of(const fer_tensor *tensor, uint32_t first) {
    uint64_t count = 1;
    for (uint32_t i = first; i < fer_tensor_rank(tensor); i++) {
        count *= (uint64_t)fer_tensor_dims(tensor)[i]; /* divides the element count */
    }
    return count;
}

static int shape_conv(pair *p) {
    if (fer_tensor_rank(p->weight) < 3) {
        return 0;
    }
    p->outer = 1;
    p->channels = p->middle = (uint64_t)fer_tensor_dims(p->weight)[0];
    p->inner = product_of(p->weight, 1);
    return 1;
}

static int shape_conv_transpose(pair *p) {
    const feri_gnode *node = p->product;
    int64_t groups = feri_attr_int(node->attrs, node->attr_count, "group", 1);
    if (fer_tensor_rank(p->weight) < 3) {
        return 0;
    }
    p->outer = (uint64_t)fer_tensor_dims(p->weight)[0];
    p->middle = (uint64_t)fer_tensor_dims(p->weight)[1];
    p->inner = product_of(p->weight, 2);
    if (groups < 1 || p->outer % (uint64_t)groups) {
        return 0;
    }
    p->outer_per_group = p->outer / (uint64_t)groups;
    p->channels = feri_mul_sat(p->middle, (uint64_t)groups);
    return 1;
}

static int shape_gemm(pair *p) {
    const feri_gnode *node = p->product;
    int is_transposed = feri_attr_int(node->attrs, node->attr_count, "transB", 0) != 0;
    if (fer_tensor_rank(p->weight) != 2 ||
        feri_attr_float(node->attrs, node->attr_count, "beta", 1) != 1) {
        return 0;
    }
    const int64_t *dims = fer_tensor_dims(p->weight);
    p->outer = is_transposed ? 1 : (uint64_t)dims[0];
    p->channels = p->middle = (uint64_t)dims[is_transposed ? 0 : 1];
    p->inner = is_transposed ? (uint64_t)dims[1] : 1;
    return 1;
}

static const struct {
    const char *op;
    int (*shape)(pair *p);
} products[] = {
    {"Conv",          shape_conv          },
    {"ConvTranspose", shape_conv_transpose},
    {"Gemm",          shape_gemm          },
};
enum { PRODUCT_COUNT = sizeof products / sizeof products[0] };

/* ---- may it be folded? ---- */

static int norm_is_plain(const fer_graph *graph, const feri_gnode *norm) {
    if (norm->input_count < 5 || norm->outputs[0] == FER_NO_VALUE ||
        feri_attr_int(norm->attrs, norm->attr_count, "training_mode", 0) != 0) {
        return 0;
    }
    for (uint32_t o = 1; o < norm->output_count; o++) {
        if (norm->outputs[o] != FER_NO_VALUE && graph->values[norm->outputs[o]].use_count) {
            return 0;
        }
    }
    for (uint32_t i = 1; i < 5; i++) {
        const fer_tensor *tensor = feri_node_constant(graph, norm, i);
        if (!tensor || !is_float(tensor)) {
            return 0;
        }
    }
    return 1;
}

/* The weight is the product's alone, and the bias, if there is one, is one number a channel. */
static int product_is_plain(pair *p) {
    const fer_graph *graph = p->graph;
    const feri_gnode *product = p->product;
    int has_bias = product->input_count > 2 && product->inputs[2] != FER_NO_VALUE;
    p->weight = feri_node_constant(graph, product, 1);
    p->bias = feri_node_constant(graph, product, 2);
    return p->weight && is_float(p->weight) && (p->bias || !has_bias) &&
           graph->values[product->inputs[1]].use_count == 1 &&
           fer_tensor_element_count(p->weight) > 0;
}

static int counts_fit(const pair *p) {
    for (uint32_t i = 1; i < 5; i++) {
        if (fer_tensor_element_count(feri_node_constant(p->graph, p->norm, i)) != p->channels) {
            return 0;
        }
    }
    if (p->bias) {
        uint32_t rank = fer_tensor_rank(p->bias);
        /* One row: [N] or [1, N]; every other shape of Gemm's C is left alone. */
        return fer_tensor_dtype(p->bias) == fer_tensor_dtype(p->weight) && rank >= 1 &&
               fer_tensor_element_count(p->bias) == p->channels &&
               (uint64_t)fer_tensor_dims(p->bias)[rank - 1] == p->channels;
    }
    return 1;
}

/* ---- the numbers ---- */

static double constant_at(const pair *p, uint32_t input, uint64_t index) {
    fer_tensor *tensor = feri_node_constant(p->graph, p->norm, input);
    return feri_load_f64(fer_tensor_dtype(tensor), fer_tensor_data(tensor), index);
}

/* 0 when a number is not finite. */
static int compute_channels(pair *p) {
    double epsilon = (double)feri_attr_float(p->norm->attrs, p->norm->attr_count, "epsilon", 1e-5f);
    for (uint64_t c = 0; c < p->channels; c++) {
        double scale = constant_at(p, 1, c) / sqrt(constant_at(p, 4, c) + epsilon);
        double bias =
            p->bias ? feri_load_f64(fer_tensor_dtype(p->bias), fer_tensor_data(p->bias), c) : 0;
        p->scale[c] = scale;
        p->shift[c] = (bias - constant_at(p, 3, c)) * scale + constant_at(p, 2, c);
        if (!isfinite(scale) || !isfinite(p->shift[c])) {
            return 0;
        }
    }
    return 1;
}

/* Rounded to the tensor's dtype; 0 when that overflows. */
static int store(fer_tensor *tensor, uint64_t index, double value) {
    feri_store_run_f64(fer_tensor_dtype(tensor), fer_tensor_data(tensor), index, 1, &value, 0);
    return isfinite(feri_load_f64(fer_tensor_dtype(tensor), fer_tensor_data(tensor), index)) != 0;
}

static int fill(const pair *p, fer_tensor *weight, fer_tensor *bias) {
    uint64_t index = 0;
    int is_finite = 1;
    for (uint64_t o = 0; o < p->outer; o++) {
        uint64_t group = p->outer_per_group ? o / p->outer_per_group : 0;
        for (uint64_t m = 0; m < p->middle; m++) {
            double scale = p->scale[group * p->middle + m];
            for (uint64_t i = 0; i < p->inner; i++, index++) {
                double value =
                    feri_load_f64(fer_tensor_dtype(p->weight), fer_tensor_data(p->weight), index);
                is_finite &= store(weight, index, value * scale);
            }
        }
    }
    for (uint64_t c = 0; c < p->channels; c++) {
        is_finite &= store(bias, c, p->shift[c]);
    }
    return is_finite;
}

/* ---- the graph ---- */

static fer_status rewire(pair *p, fer_tensor *weight, fer_tensor *bias) {
    fer_graph *graph = p->graph;
    feri_gnode *product = p->product;
    fer_value_id weight_id = FER_NO_VALUE;
    fer_value_id bias_id = FER_NO_VALUE;
    fer_value_id *inputs = FERI_BUMP_ARRAY(&graph->bump, fer_value_id, 3);
    if (!inputs) {
        return fer_error_last()->status;
    }
    FER_TRY(feri_graph_new_constant(graph, NULL, weight, &weight_id));
    FER_TRY(feri_graph_new_constant(graph, NULL, bias, &bias_id));
    inputs[0] = product->inputs[0];
    inputs[1] = weight_id;
    inputs[2] = bias_id;
    product->inputs = inputs;
    product->input_count = product->formal_count = 3;
    product->outputs[0] = p->norm->outputs[0];
    graph->values[product->outputs[0]].producer = UINT32_MAX; /* until the next reindex */
    p->norm->is_dead = 1;
    return FER_OK;
}

static fer_status fold_pair(pair *p, uint32_t *changes) {
    feri_env *env = p->graph->env;
    fer_context *context = (fer_context *)(void *)env;
    fer_dtype dtype = fer_tensor_dtype(p->weight);
    fer_tensor *weight = NULL;
    fer_tensor *bias = NULL;
    const int64_t channels = (int64_t)p->channels;
    const uint64_t bytes = feri_mul_sat(p->channels, 2 * sizeof(double));
    fer_status status = FER_OK;
    p->scale = feri_alloc(env, bytes);
    if (!p->scale) {
        return fer_error_last()->status;
    }
    p->shift = p->scale + p->channels;
    if (!compute_channels(p)) {
        goto out;
    }
    FER_TRY_OR(
        out,
        fer_tensor_create(
            context, dtype, fer_tensor_rank(p->weight), fer_tensor_dims(p->weight), &weight));
    FER_TRY_OR(out, fer_tensor_create(context, dtype, 1, &channels, &bias));
    if (fill(p, weight, bias)) {
        FER_TRY_OR(out, rewire(p, weight, bias));
        ++*changes;
    }
out:
    fer_tensor_release(weight);
    fer_tensor_release(bias);
    feri_free(env, p->scale, bytes);
    return status;
}

/* The node whose only reader is norm, or NULL. */
static feri_gnode *only_producer(const fer_graph *graph, const feri_gnode *norm, uint32_t before) {
    const feri_gvalue *value = &graph->values[norm->inputs[0]];
    if (value->origin != FERI_ORIGIN_NODE || value->use_count != 1 || value->producer >= before) {
        return NULL;
    }
    feri_gnode *node = graph->nodes[value->producer];
    return node->is_dead || node->output_count != 1 ? NULL : node;
}

fer_status feri_pass_fold_batch_norm(fer_graph *graph, feri_pass_env *env, uint32_t *out_changes) {
    (void)env;
    const feri_op *norm_op = feri_op_find("", "BatchNormalization");
    const feri_op *ops[PRODUCT_COUNT];
    for (uint32_t i = 0; i < PRODUCT_COUNT; i++) {
        ops[i] = feri_op_find("", products[i].op);
    }
    fer_status status = FER_OK;
    *out_changes = 0;
    feri_graph_reindex(graph);
    for (uint32_t n = 0; n < graph->node_count && status == FER_OK; n++) {
        pair p = {.graph = graph, .norm = graph->nodes[n]};
        if (p.norm->op != norm_op || p.norm->is_dead || !norm_is_plain(graph, p.norm)) {
            continue;
        }
        p.product = only_producer(graph, p.norm, n);
        for (uint32_t i = 0; p.product && i < PRODUCT_COUNT; i++) {
            if (p.product->op == ops[i] && product_is_plain(&p) && products[i].shape(&p) &&
                counts_fit(&p)) {
                status = fold_pair(&p, out_changes);
                break;
            }
        }
    }
    if (*out_changes) {
        feri_graph_compact(graph);
    }
    return status;
}
