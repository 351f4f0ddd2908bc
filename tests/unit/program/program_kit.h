/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of whole programs share: a context whose allocator counts, can fail once at an
 * index and checks that it gets back what it gave; short builder calls; tensors from numbers.
 */
#ifndef FERI_TEST_PROGRAM_KIT_H
#define FERI_TEST_PROGRAM_KIT_H

#include "ferrule/ferrule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define OK(call)                                                                                   \
    do {                                                                                           \
        fer_status ok_status = (call);                                                             \
        if (ok_status != FER_OK) {                                                                 \
            fail_msg("%s: %s", fer_status_name(ok_status), fer_error_last()->message);             \
        }                                                                                          \
    } while (0)

/* The call fails with status, and its sentence has word in it. */
#define REFUSED(call, expected, word) refused((call), (expected), (word), __FILE__, __LINE__)

static inline void
refused(fer_status status, fer_status expected, const char *word, const char *file, int line) {
    const char *message = fer_error_last()->message;
    if (status != expected || strstr(message, word) == NULL) {
        print_error("%s:%d: %s expected with '%s', got %s: %s\n",
                    file,
                    line,
                    fer_status_name(expected),
                    word,
                    fer_status_name(status),
                    status == FER_OK ? "" : message);
        _fail(file, line);
    }
}

/* ---- the allocator ---- */

typedef struct counted {
    atomic_uint_fast64_t calls; /* of alloc */
    uint64_t fail_at;           /* the call (0, 1, ...) that gets NULL; UINT64_MAX: none */
    atomic_int_fast64_t bytes;  /* given and not yet back */
    atomic_int_fast64_t blocks;
} counted;

static inline void *counted_alloc(void *self, size_t length, size_t alignment) {
    counted *c = self;
    void *memory = NULL;
    if (atomic_fetch_add(&c->calls, 1) == c->fail_at ||
        posix_memalign(&memory, alignment < sizeof(void *) ? sizeof(void *) : alignment, length) !=
            0) {
        return NULL;
    }
    atomic_fetch_add(&c->bytes, (int64_t)length);
    atomic_fetch_add(&c->blocks, 1);
    return memory;
}

static inline void counted_free(void *self, void *memory, size_t length, size_t alignment) {
    counted *c = self;
    (void)alignment;
    atomic_fetch_sub(&c->bytes, (int64_t)length);
    atomic_fetch_sub(&c->blocks, 1);
    free(memory);
}

static inline fer_context_options counted_options(counted *c) {
    memset(c, 0, sizeof(*c));
    c->fail_at = UINT64_MAX;
    fer_context_options options = {
        .struct_size = sizeof(options),
        .flags = FER_CONTEXT_NO_MANIFESTS,
        .allocator = {counted_alloc, counted_free, c}
    };
    return options;
}

static inline fer_context *counted_context(counted *c) {
    fer_context_options options = counted_options(c);
    fer_context *context = NULL;
    OK(fer_context_create(&options, &context));
    return context;
}

/* A worker may still be dropping the last reference of an asynchronous run. */
static inline void assert_all_back(const counted *c) {
    for (int i = 0; i < 20000 && atomic_load(&c->blocks) != 0; i++) {
        usleep(500);
    }
    assert_int_equal(atomic_load(&c->blocks), 0);
    assert_int_equal(atomic_load(&c->bytes), 0);
}

/* A test's context, for cmocka's setup and teardown. */
typedef struct stand {
    counted memory;
    fer_context *context;
} stand;

static inline int stand_set_up(void **state) {
    stand *s = calloc(1, sizeof(*s));
    s->context = counted_context(&s->memory);
    *state = s;
    return 0;
}

static inline int stand_tear_down(void **state) {
    stand *s = *state;
    fer_context_release(s->context);
    assert_all_back(&s->memory);
    free(s);
    return 0;
}

/* ---- graphs ---- */

static inline fer_graph *new_graph(fer_context *context) {
    fer_graph *graph = NULL;
    OK(fer_graph_create(context, &graph));
    return graph;
}

/* Dims of -1 get the symbols "a", "b", ... of their place. */
static inline fer_value_id
add_input(fer_graph *graph, const char *name, fer_dtype dtype, uint32_t rank, const int64_t *dims) {
    static const char *const letters[] = {"a", "b", "c", "d", "e", "f"};
    fer_value_id id = 0;
    OK(fer_graph_add_input(graph, name, dtype, rank, dims, letters, &id));
    return id;
}

static inline void add_nodes(fer_graph *graph,
                             const char *op,
                             uint32_t in_count,
                             const fer_value_id *in,
                             uint32_t attr_count,
                             const fer_attr *attrs,
                             uint32_t out_count,
                             fer_value_id *out) {
    fer_node_desc desc = {.struct_size = sizeof(desc),
                          .op = op,
                          .input_count = in_count,
                          .inputs = in,
                          .attrs = attrs,
                          .attr_count = attr_count,
                          .output_count = out_count};
    OK(fer_graph_add_node(graph, &desc, out));
}

static inline fer_value_id add_node(fer_graph *graph,
                                    const char *op,
                                    uint32_t in_count,
                                    const fer_value_id *in,
                                    uint32_t attr_count,
                                    const fer_attr *attrs) {
    fer_value_id out = 0;
    add_nodes(graph, op, in_count, in, attr_count, attrs, 1, &out);
    return out;
}

static inline fer_value_id add_one(fer_graph *graph, const char *op, fer_value_id a) {
    return add_node(graph, op, 1, &a, 0, NULL);
}

static inline fer_value_id
add_two(fer_graph *graph, const char *op, fer_value_id a, fer_value_id b) {
    return add_node(graph, op, 2, (fer_value_id[]){a, b}, 0, NULL);
}

static inline fer_attr int_attr(const char *name, int64_t value) {
    return (fer_attr){.name = name, .type = FER_ATTR_INT, .count = 1, .value.i = value};
}

static inline fer_attr ints_attr(const char *name, uint32_t count, const int64_t *values) {
    return (fer_attr){.name = name, .type = FER_ATTR_INTS, .count = count, .value.ints = values};
}

static inline fer_attr text_attr(const char *name, const char *text) {
    return (fer_attr){
        .name = name, .type = FER_ATTR_STRING, .count = 1, .value.s = {text, strlen(text)}
    };
}

static inline fer_attr body_attr(const char *name, const fer_graph *body) {
    return (fer_attr){.name = name, .type = FER_ATTR_GRAPH, .count = 1, .value.body = body};
}

/* ---- tensors ---- */

static inline fer_tensor *tensor_of(
    fer_context *context, fer_dtype dtype, uint32_t rank, const int64_t *dims, const void *data) {
    fer_tensor *tensor = NULL;
    OK(fer_tensor_create(context, dtype, rank, dims, &tensor));
    if (data != NULL && fer_tensor_bytes(tensor) > 0) {
        memcpy(fer_tensor_data(tensor), data, fer_tensor_bytes(tensor));
    }
    return tensor;
}

/* The numbers start, start + step, ... */
static inline fer_tensor *
ramp(fer_context *context, uint32_t rank, const int64_t *dims, float start, float step) {
    fer_tensor *tensor = tensor_of(context, FER_F32, rank, dims, NULL);
    float *data = fer_tensor_data(tensor);
    for (uint64_t i = 0; i < fer_tensor_element_count(tensor); i++) {
        data[i] = start + step * (float)i;
    }
    return tensor;
}

static inline fer_tensor *i64_line(fer_context *context, int64_t count, const int64_t *values) {
    return tensor_of(context, FER_I64, 1, &count, values);
}

static inline fer_value_id add_constant(fer_graph *graph, fer_tensor *tensor) {
    static atomic_uint number;
    char name[24];
    fer_value_id id = 0;
    snprintf(name, sizeof(name), "k%u", atomic_fetch_add(&number, 1));
    OK(fer_graph_add_constant(graph, name, tensor, &id));
    fer_tensor_release(tensor);
    return id;
}

static inline fer_value_id
add_weight(fer_context *context, fer_graph *graph, uint32_t rank, const int64_t *dims) {
    return add_constant(graph, ramp(context, rank, dims, -0.25f, 0.01f));
}

static inline fer_value_id
add_i64s(fer_context *context, fer_graph *graph, int64_t count, const int64_t *values) {
    return add_constant(graph, i64_line(context, count, values));
}

/* Finishes, compiles and drops the graph. */
static inline fer_program *
compiled(fer_context *context, fer_graph *graph, const fer_compile_options *options) {
    fer_program *program = NULL;
    OK(fer_graph_finish(graph));
    OK(fer_program_compile(context, graph, options, &program));
    fer_graph_release(graph);
    return program;
}

#endif
