/* SPDX-License-Identifier: Apache-2.0
 *
 * A warm run with bound outputs and a caller-owned record allocates nothing: neither through the
 * context's allocator nor, where malloc can be counted, behind its back.
 */
#include "program_kit.h"

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define COUNTS_MALLOC 1
static atomic_uint_fast64_t heap_calls;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_malloc(size);
}
void *calloc(size_t count, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_calloc(count, size);
}
void *realloc(void *memory, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_realloc(memory, size);
}
int posix_memalign(void **out_memory, size_t alignment, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    *out_memory = __libc_memalign(alignment, size);
    return *out_memory == NULL ? 12 /* ENOMEM */ : 0;
}
void *aligned_alloc(size_t alignment, size_t size) {
    atomic_fetch_add(&heap_calls, 1);
    return __libc_memalign(alignment, size);
}
#else
#define COUNTS_MALLOC 0
static uint64_t heap_calls;
#endif

#if defined(__SANITIZE_THREAD__)
enum { RUNS = 100 };
#else
enum { RUNS = 1000 };
#endif
enum { MOST_SETS = 4 };

/* The program with each set of tensors in turn: first to warm up, then counted. */
typedef struct sets {
    fer_tensor *input[MOST_SETS];
    fer_tensor *output[MOST_SETS];
    int count;
} sets;

static void run_all(fer_program *program, const sets *s, int runs) {
    fer_partition_record parts[2];
    fer_run_record record = {
        .struct_size = sizeof(record), .partitions = parts, .partition_capacity = 2};
    const uint32_t cancel = 0;
    fer_run_options options = {.struct_size = sizeof(options),
                               .deadline_ns = UINT64_C(60000000000),
                               .cancel = &cancel,
                               .record = &record};
    for (int i = 0; i < runs; i++) {
        fer_tensor *out = s->output[i % s->count];
        OK(fer_program_run(program, &options, &s->input[i % s->count], 1, &out, 1));
        assert_int_equal(record.partition_count, 1);
        assert_true(runs < RUNS || record.compile_ns == 0);
    }
}

static void assert_none(counted *memory, fer_program *program, const sets *s) {
    run_all(program, s, s->count);
    for (int i = 0; i < 2 * s->count; i++) {
        fer_tensor *out = s->output[i % s->count];
        OK(fer_program_run(program, NULL, &s->input[i % s->count], 1, &out, 1));
    }
    free(malloc(1)); /* the count is alive */
    assert_true(!COUNTS_MALLOC || heap_calls > 0);
    uint64_t before = atomic_load(&memory->calls), heap_before = heap_calls;
    run_all(program, s, RUNS);
    uint64_t heap_after = heap_calls;
    assert_int_equal(atomic_load(&memory->calls), before);
    assert_int_equal(heap_after, heap_before);
}

static void end(counted *memory, fer_context *context, fer_program *program, sets *s) {
    for (int i = 0; i < s->count; i++) {
        fer_tensor_release(s->input[i]);
        fer_tensor_release(s->output[i]);
    }
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(memory);
}

/* length alternating Relu and Neg over 16 elements. */
static void chain(int length) {
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context);
    fer_value_id v = add_input(graph, "x", FER_F32, 1, (int64_t[]){16});
    for (int i = 0; i < length; i++) {
        v = add_one(graph, i % 2 == 0 ? "Relu" : "Neg", v);
    }
    OK(fer_graph_add_output(graph, "y", v));
    fer_program *program = compiled(context, graph, NULL);
    sets s = {.count = 1};
    s.input[0] = ramp(context, 1, (int64_t[]){16}, -8, 1);
    s.output[0] = tensor_of(context, FER_F32, 1, (int64_t[]){16}, NULL);
    run_all(program, &s, RUNS); /* compiled ahead: no run pays for it */
    assert_none(&memory, program, &s);
    end(&memory, context, program, &s);
}

static void one_relu(void **state) {
    (void)state;
    chain(1);
}

static void a_thousand_nodes(void **state) {
    (void)state;
    chain(1000);
}

/* What magika does: codes to vectors, norms, activations, a convolution, a pool, scores. */
static void layers(const int64_t *rows, int count) {
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context);
    fer_value_id codes =
        add_input(graph, "codes", FER_I32, 1, (int64_t[]){count > 1 ? -1 : rows[0]});
    fer_value_id table = add_weight(context, graph, 2, (int64_t[]){20, 8});
    fer_value_id scale = add_weight(context, graph, 1, (int64_t[]){8});
    fer_value_id bias = add_weight(context, graph, 1, (int64_t[]){8});
    fer_value_id v = add_two(graph, "Gather", table, codes); /* (n, 8) */
    v = add_node(graph, "LayerNormalization", 3, (fer_value_id[]){v, scale, bias}, 0, NULL);
    v = add_two(graph, "MatMul", v, add_weight(context, graph, 2, (int64_t[]){8, 8}));
    v = add_one(graph, "Gelu", add_two(graph, "Add", v, bias));
    v = add_two(graph, "Unsqueeze", v, add_i64s(context, graph, 1, (int64_t[]){0}));
    fer_attr perm = ints_attr("perm", 3, (int64_t[]){0, 2, 1});
    v = add_node(graph, "Transpose", 1, &v, 1, &perm); /* (1, 8, n) */
    fer_attr pads = ints_attr("pads", 2, (int64_t[]){1, 1});
    fer_value_id kernel = add_weight(context, graph, 3, (int64_t[]){4, 8, 3});
    v = add_node(graph, "Conv", 2, (fer_value_id[]){v, kernel}, 1, &pads);
    fer_value_id axis = add_i64s(context, graph, 1, (int64_t[]){2});
    fer_attr keep = int_attr("keepdims", 0);
    v = add_node(graph, "ReduceMax", 2, (fer_value_id[]){v, axis}, 1, &keep);
    OK(fer_graph_add_output(graph, "scores", add_one(graph, "Softmax", v)));
    fer_program *program = compiled(context, graph, NULL);
    sets s = {.count = count};
    for (int i = 0; i < count; i++) {
        s.input[i] = tensor_of(context, FER_I32, 1, &rows[i], NULL);
        for (int64_t k = 0; k < rows[i]; k++) {
            ((int32_t *)fer_tensor_data(s.input[i]))[k] = (int32_t)((k * 7 + i) % 20);
        }
        s.output[i] = tensor_of(context, FER_F32, 2, (int64_t[]){1, 4}, NULL);
    }
    assert_none(&memory, program, &s);
    for (int i = 0; i < count; i++) {
        const float *scores = fer_tensor_data(s.output[i]);
        float sum = scores[0] + scores[1] + scores[2] + scores[3];
        assert_true(sum > 0.999f && sum < 1.001f);
    }
    end(&memory, context, program, &s);
}

static void many_ops(void **state) {
    (void)state;
    layers((int64_t[]){64}, 1);
}

static void sizes_that_come_back(void **state) {
    (void)state;
    layers((int64_t[]){5, 64, 17, 1}, 4);
}

/* Outputs that no step writes: an input and a constant, copied to what is bound. */
static void outputs_that_are_given(void **state) {
    (void)state;
    counted memory;
    fer_context *context = counted_context(&memory);
    fer_graph *graph = new_graph(context);
    fer_value_id x = add_input(graph, "x", FER_F32, 1, (int64_t[]){16});
    OK(fer_graph_add_output(graph, "y", add_one(graph, "Relu", x)));
    OK(fer_graph_add_output(graph, "same", x));
    OK(fer_graph_add_output(graph, "weight", add_weight(context, graph, 1, (int64_t[]){16})));
    fer_program *program = compiled(context, graph, NULL);
    fer_tensor *in = ramp(context, 1, (int64_t[]){16}, -8, 1), *out[3];
    for (int i = 0; i < 3; i++) {
        out[i] = tensor_of(context, FER_F32, 1, (int64_t[]){16}, NULL);
    }
    uint64_t before = 0, heap_before = 0;
    for (int i = 0; i < 2 + RUNS; i++) {
        if (i == 2) {
            before = atomic_load(&memory.calls);
            heap_before = heap_calls;
        }
        OK(fer_program_run(program, NULL, &in, 1, out, 3));
    }
    uint64_t heap_after = heap_calls;
    assert_int_equal(atomic_load(&memory.calls), before);
    assert_int_equal(heap_after, heap_before);
    assert_memory_equal(fer_tensor_data(out[1]), fer_tensor_data(in), 64);
    for (int i = 0; i < 3; i++) {
        fer_tensor_release(out[i]);
    }
    fer_tensor_release(in);
    fer_program_release(program);
    fer_context_release(context);
    assert_all_back(&memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_relu),
        cmocka_unit_test(a_thousand_nodes),
        cmocka_unit_test(many_ops),
        cmocka_unit_test(sizes_that_come_back),
        cmocka_unit_test(outputs_that_are_given),
    };
    print_message("malloc is %s\n", COUNTS_MALLOC ? "counted too" : "not counted in this build");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
