/* SPDX-License-Identifier: Apache-2.0
 *
 * Constant folding and batch norms: what becomes a constant, with what contents, and what must not.
 */
#include "pass_graph.h"
#include "tensor/dtype.h"

#include <math.h>
#include <stdlib.h>

/* Adds one to the first input's floats; refuses Neg. */
static fer_status
evaluate(void *self, const feri_gnode *node, fer_tensor *const *inputs, fer_tensor **out_outputs) {
    pass_graph *g = self;
    g->changes++;
    if (strcmp(feri_op_name(node->op), "Neg") == 0) {
        return feri_fail(FER_UNSUPPORTED, "not yet");
    }
    int64_t count = (int64_t)fer_tensor_element_count(inputs[0]);
    FER_TRY(fer_tensor_create((fer_context *)(void *)g->env, FER_F32, 1, &count, &out_outputs[0]));
    float *out = fer_tensor_data(out_outputs[0]);
    for (int64_t i = 0; i < count; i++) {
        out[i] = ((const float *)fer_tensor_data(inputs[0]))[i] + 1;
    }
    return FER_OK;
}

static void known_elements(void **state) {
    pass_graph *g = *state;
    fer_value_id x = pass_input(g);
    fer_value_id shape = pass_node1(g, "Shape", x);
    pass_fact(g, shape, FER_I64, 1, 2);
    feri_sym elements[2] = {feri_sym_number(2), feri_sym_number(3)};
    g->graph->values[shape].fact.elements = elements;
    g->graph->values[shape].fact.element_count = 2;
    fer_value_id half = pass_node1(g, "Sqrt", x);
    pass_fact(g, half, FER_F16, 0);
    feri_sym number = feri_sym_from_f64(0.5);
    g->graph->values[half].fact.elements = &number;
    g->graph->values[half].fact.element_count = 1;
    fer_value_id open = pass_node1(g, "Shape", x);
    feri_sym unknown[2] = {feri_sym_number(2), feri_terms_symbol(g->graph->terms, "N", 0)};
    pass_fact(g, open, FER_I64, 1, 2);
    g->graph->values[open].fact.elements = unknown;
    g->graph->values[open].fact.element_count = 2;
    pass_output(g, shape); /* an output may be a constant */
    pass_output(g, half);
    pass_output(g, open);
    assert_int_equal(pass_do(g, feri_pass_fold_constants), 2);
    assert_int_equal(g->graph->node_count, 1);
    const feri_gvalue *value = &g->graph->values[shape];
    assert_int_equal(value->origin, FERI_ORIGIN_CONSTANT);
    assert_memory_equal(value->fact.data, ((int64_t[]){2, 3}), 16);
    assert_int_equal(*(const uint16_t *)g->graph->values[half].fact.data, 0x3800);
    assert_int_equal(g->graph->outputs[0], shape);
}

static void evaluated(void **state) {
    pass_graph *g = *state;
    g->pass_env = (feri_pass_env){.evaluate = evaluate, .self = g};
    const float values[3] = {1, 2, 3};
    fer_value_id a = pass_node1(g, "Relu", pass_floats(g, 3, values));
    fer_value_id b = pass_node1(g, "Abs", a); /* on what folding a gives */
    fer_value_id c = pass_node1(g, "Neg", b); /* refused: stays */
    fer_value_id d = pass_node1(g, "RandomNormalLike", b);
    fer_value_id e = pass_node1(g, "Relu", pass_input(g));
    const fer_value_id quantized[2] = {pass_floats(g, 3, values), pass_floats(g, 1, values)};
    fer_value_id f = pass_node_attr(g, "DequantizeLinear", NULL, 2, quantized);
    fer_value_id all[6] = {a, b, c, d, e, f};
    for (int i = 0; i < 6; i++) {
        pass_fact(g, all[i], FER_F32, 1, 3);
    }
    pass_output(g, c);
    pass_output(g, d);
    pass_output(g, e);
    uint32_t changes = 0;
    assert_int_equal(feri_pass_fold_constants(g->graph, &g->pass_env, &changes), FER_OK);
    assert_int_equal(changes, 2);
    assert_int_equal(g->changes, 3); /* Relu, Abs, Neg; neither unused nor forbidden ones */
    assert_int_equal(g->graph->node_count, 4);
    assert_memory_equal(g->graph->values[b].fact.data, ((float[]){3, 4, 5}), 12);
}

static void growth_is_bounded(void **state) {
    pass_graph *g = *state;
    g->pass_env = (feri_pass_env){.evaluate = evaluate, .self = g};
    const float value = 1;
    fer_value_id small = pass_floats(g, 1, &value);
    fer_value_id out = pass_node1(g, "Relu", small);
    fer_value_id other = pass_node1(g, "Abs", small);
    pass_fact(g, out, FER_F32, 1, (64 << 10) / 4 + 1);
    pass_fact(g, other, FER_F32, 1, -1); /* size unknown, but a small operand: tried */
    pass_output(g, out);
    pass_output(g, other);
    assert_int_equal(pass_do(g, feri_pass_fold_constants), 1);
    assert_int_equal(g->changes, 1);
    assert_int_equal(g->graph->values[out].origin, FERI_ORIGIN_NODE);
}

/* norm(product(x)) with scale 2, shift 1, mean 3 and var 4 - epsilon: y = (p - 3) + 1. */
static fer_value_id norm(pass_graph *g, fer_value_id product, int64_t channels, double last_scale) {
    float scale[4] = {2, 2, 2, 2};
    float shift[4] = {1, 1, 1, 1};
    float mean[4] = {3, 3, 3, 3};
    float var[4] = {4, 4, 4, 4};
    const fer_attr epsilon = {.name = "epsilon", .type = FER_ATTR_FLOAT, .count = 1, .value.f = 0};
    scale[channels - 1] = (float)last_scale;
    const fer_value_id inputs[5] = {product,
                                    pass_floats(g, channels, scale),
                                    pass_floats(g, channels, shift),
                                    pass_floats(g, channels, mean),
                                    pass_floats(g, channels, var)};
    return pass_node_attr(g, "BatchNormalization", &epsilon, 5, inputs);
}

static const float *weights(pass_graph *g, uint32_t input) {
    return g->graph->values[g->graph->nodes[0]->inputs[input]].fact.data;
}

static void conv_and_norm(void **state) {
    pass_graph *g = *state;
    const float weight[4] = {1, 2, 3, 4};
    const int64_t dims[3] = {2, 2, 1};
    fer_value_id x = pass_input(g);
    fer_value_id p = pass_node2(g, "Conv", x, pass_constant(g, FER_F32, 3, dims, weight));
    fer_value_id y = norm(g, p, 2, 4);
    pass_output(g, y);
    assert_int_equal(pass_do(g, feri_pass_fold_batch_norm), 1);
    assert_int_equal(g->graph->node_count, 1);
    assert_int_equal(g->graph->nodes[0]->outputs[0], y);
    assert_int_equal(g->graph->outputs[0], y);
    assert_memory_equal(weights(g, 1), ((float[]){1, 2, 6, 8}), 16);
    assert_memory_equal(weights(g, 2), ((float[]){-2, -5}), 8);
}

static void transposed_conv_with_groups(void **state) {
    pass_graph *g = *state;
    /* [C=4, M/g=1, 1] in two groups: input channels 0 and 1 feed output channel 0 */
    const float weight[4] = {1, 2, 3, 4};
    const int64_t dims[3] = {4, 1, 1};
    const float bias[2] = {10, 20};
    const fer_value_id inputs[3] = {
        pass_input(g), pass_constant(g, FER_F32, 3, dims, weight), pass_floats(g, 2, bias)};
    const fer_attr group = {.name = "group", .type = FER_ATTR_INT, .count = 1, .value.i = 2};
    fer_value_id p = pass_node_attr(g, "ConvTranspose", &group, 3, inputs);
    pass_output(g, norm(g, p, 2, 4));
    assert_int_equal(pass_do(g, feri_pass_fold_batch_norm), 1);
    assert_memory_equal(weights(g, 1), ((float[]){1, 2, 6, 8}), 16);
    assert_memory_equal(weights(g, 2), ((float[]){8, 35}), 8);
}

static void gemm_and_norm(void **state) {
    pass_graph *g = *state;
    const float weight[6] = {1, 2, 3, 4, 5, 6};
    const int64_t dims[2] = {2, 3}; /* [K, N] */
    fer_value_id p =
        pass_node2(g, "Gemm", pass_input(g), pass_constant(g, FER_F32, 2, dims, weight));
    pass_output(g, norm(g, p, 3, 4));
    assert_int_equal(pass_do(g, feri_pass_fold_batch_norm), 1);
    assert_memory_equal(weights(g, 1), ((float[]){1, 2, 6, 4, 5, 12}), 24);
    assert_memory_equal(weights(g, 2), ((float[]){-2, -2, -5}), 12);
}

static void norms_left_alone(void **state) {
    pass_graph *g = *state;
    const float weight[3] = {1, 2, 3};
    const int64_t dims[3] = {3, 1, 1};
    fer_value_id x = pass_input(g);
    fer_value_id w = pass_constant(g, FER_F32, 3, dims, weight);
    /* the product is used twice */
    fer_value_id p = pass_node2(g, "Conv", x, pass_constant(g, FER_F32, 3, dims, weight));
    pass_output(g, norm(g, p, 3, 2));
    pass_output(g, pass_node1(g, "Relu", p));
    /* the weights are used twice */
    pass_output(g, norm(g, pass_node2(g, "Conv", x, w), 3, 2));
    pass_output(g, pass_node2(g, "Conv", x, w));
    /* not finite */
    p = pass_node2(g, "Conv", x, pass_constant(g, FER_F32, 3, dims, weight));
    pass_output(g, norm(g, p, 3, NAN));
    p = pass_node2(g, "Conv", x, pass_constant(g, FER_F32, 3, dims, weight));
    pass_output(g, norm(g, p, 3, 3e38));
    /* alone, and with the wrong number of channels */
    pass_output(g, norm(g, x, 3, 2));
    p = pass_node2(g, "Conv", x, pass_constant(g, FER_F32, 3, dims, weight));
    pass_output(g, norm(g, p, 2, 2));
    assert_int_equal(pass_do(g, feri_pass_fold_batch_norm), 0);
}

static void half_weights_round_once(void **state) {
    pass_graph *g = *state;
    const uint16_t weight[2] = {0x3c01, 0x3c00}; /* 1 + 2^-10, 1 */
    const int64_t dims[3] = {1, 2, 1};
    fer_value_id p =
        pass_node2(g, "Conv", pass_input(g), pass_constant(g, FER_F16, 3, dims, weight));
    pass_fact(g, g->graph->inputs[0], FER_F16, 3, 1, 2, 4);
    fer_value_id y = norm(g, p, 1, 3); /* s = 1.5 */
    pass_output(g, y);
    assert_int_equal(pass_do(g, feri_pass_fold_batch_norm), 1);
    const uint16_t *folded = (const uint16_t *)(const void *)weights(g, 1);
    assert_int_equal(folded[0], 0x3e02); /* 1.5 * (1 + 2^-10): a tie, to even */
    assert_int_equal(folded[1], 0x3e00);
}

/* Every allocation fails once: the pass reports it and the graph stays whole. */
typedef struct failing {
    uint64_t calls;
    uint64_t fail_at;
    int64_t live;
} failing;

static void *failing_alloc(void *self, size_t bytes, size_t alignment) {
    failing *f = self;
    if (f->calls++ == f->fail_at) {
        return NULL;
    }
    f->live++;
    return aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

static void failing_free(void *self, void *memory, size_t bytes, size_t alignment) {
    (void)bytes;
    (void)alignment;
    ((failing *)self)->live--;
    free(memory);
}

static void build_and_run(pass_graph *g, failing *f, uint64_t fail_at) {
    const float weight[4] = {1, 2, 3, 4};
    const int64_t dims[3] = {2, 2, 1};
    fer_context_options options = {
        .allocator = {failing_alloc, failing_free, f}
    };
    *f = (failing){0, UINT64_MAX, 0};
    memset(g, 0, sizeof *g);
    assert_int_equal(feri_env_create(&options, &g->env), FER_OK);
    assert_int_equal(feri_graph_create(g->env, NULL, &g->graph), FER_OK);
    fer_value_id x = pass_input(g);
    fer_value_id p = pass_node2(
        g, "Conv", pass_node1(g, "Identity", x), pass_constant(g, FER_F32, 3, dims, weight));
    pass_output(g, norm(g, p, 2, 4));
    pass_output(g, pass_transpose(g, pass_transpose(g, x, NULL), NULL));
    fer_value_id folded = pass_node1(g, "Relu", pass_floats(g, 3, weight));
    pass_fact(g, folded, FER_F32, 1, 3);
    pass_output(g, folded);
    f->calls = 0;
    f->fail_at = fail_at;
    const char *off[] = {"infer"};
    feri_pass_env env = {.evaluate = evaluate, .self = g, .off = off, .off_count = 1};
    fer_status status = feri_passes_run(g->graph, &env, NULL);
    assert_int_equal(status, f->calls > fail_at ? FER_OUT_OF_MEMORY : FER_OK);
    f->fail_at = UINT64_MAX;
    assert_int_equal(feri_graph_verify(g->graph), FER_OK);
    assert_int_equal(g->graph->output_count, 3);
    feri_graph_destroy(g->graph);
    feri_env_release(g->env);
    assert_int_equal(f->live, 0);
}

static void failures_leave_the_graph_whole(void **state) {
    (void)state;
    pass_graph g;
    failing f;
    uint64_t index = 0;
    do {
        build_and_run(&g, &f, index++);
    } while (index < 1 || f.calls >= index);
    assert_true(index > 10);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, pass_set_up, pass_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(known_elements),
                                       TEST(evaluated),
                                       TEST(growth_is_bounded),
                                       TEST(conv_and_norm),
                                       TEST(transposed_conv_with_groups),
                                       TEST(gemm_and_norm),
                                       TEST(norms_left_alone),
                                       TEST(half_weights_round_once),
                                       cmocka_unit_test(failures_leave_the_graph_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
