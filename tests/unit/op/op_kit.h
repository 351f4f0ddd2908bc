/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of lib/op share: a pool, a bump, and calls of the evaluator written in one line.
 * Shapes are texts: "2 N 3", "?" for an unknown dim, "*" for an unknown rank.
 */
#ifndef FERI_TESTS_OP_KIT_H
#define FERI_TESTS_OP_KIT_H

// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on

#include "base/error.h"
#include "op/op.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIT_MOST 12

typedef struct op_kit {
    feri_env *env;
    feri_bump bump;
    feri_terms *terms;
    feri_fact in[KIT_MOST], out[KIT_MOST];
    feri_fact *in_list[KIT_MOST], *out_list[KIT_MOST];
    fer_attr attrs[KIT_MOST];
    feri_infer call;
    char text[256];
} op_kit;

static inline int kit_setup(void **state) {
    op_kit *kit = calloc(1, sizeof(*kit));
    assert_non_null(kit);
    assert_int_equal(feri_env_create(NULL, &kit->env), FER_OK);
    feri_bump_init(&kit->bump, kit->env);
    assert_int_equal(feri_terms_create(kit->env, &kit->terms), FER_OK);
    *state = kit;
    return 0;
}

static inline int kit_teardown(void **state) {
    op_kit *kit = *state;
    feri_terms_destroy(kit->terms);
    feri_bump_finish(&kit->bump);
    assert_int_equal(kit->env->now_bytes, 0);
    feri_env_release(kit->env);
    free(kit);
    return 0;
}

/* A new call of an op with one output; inputs and attributes are added to it. */
static inline void kit_op(op_kit *kit, const char *name) {
    memset(&kit->call, 0, sizeof(kit->call));
    memset(kit->in, 0, sizeof(kit->in));
    memset(kit->out, 0, sizeof(kit->out));
    for (int i = 0; i < KIT_MOST; i++) {
        kit->in_list[i] = &kit->in[i];
        kit->out_list[i] = &kit->out[i];
        kit->out[i].rank = -1;
    }
    kit->call = (feri_infer){.op = feri_op_find("", name),
                             .node = "n",
                             .attrs = kit->attrs,
                             .in = kit->in_list,
                             .out = kit->out_list,
                             .out_count = 1,
                             .terms = kit->terms,
                             .bump = &kit->bump};
    assert_non_null(kit->call.op);
}

static inline feri_sym kit_dim(op_kit *kit, const char *word) {
    if (word[0] == '?') {
        return feri_sym_unknown();
    }
    if (word[0] == '-' || (word[0] >= '0' && word[0] <= '9')) {
        return feri_sym_number(strtoll(word, NULL, 10));
    }
    return feri_terms_symbol(kit->terms, word, 1);
}

static inline feri_fact *kit_in(op_kit *kit, fer_dtype dtype, const char *shape) {
    feri_fact *fact = &kit->in[kit->call.in_count++];
    feri_sym dims[FER_MAX_RANK + 4];
    int32_t rank = 0;
    char copy[128];
    *fact = (feri_fact){.kind = FER_KIND_TENSOR, .dtype = dtype, .rank = -1};
    if (shape[0] == '*') {
        return fact;
    }
    snprintf(copy, sizeof(copy), "%s", shape);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        dims[rank++] = kit_dim(kit, word);
    }
    assert_int_equal(feri_fact_set_dims(fact, &kit->bump, rank, dims), FER_OK);
    return fact;
}

static inline void kit_no_in(op_kit *kit) { kit->in_list[kit->call.in_count++] = NULL; }

/* An i64 vector of these elements; is_scalar: rank 0. */
static inline feri_fact *kit_values(op_kit *kit, const char *values, int is_scalar) {
    char shape[16] = "";
    char copy[256];
    feri_sym elements[64];
    uint32_t count = 0;
    snprintf(copy, sizeof(copy), "%s", values);
    for (char *save = NULL, *word = strtok_r(copy, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        elements[count++] = kit_dim(kit, word);
    }
    if (!is_scalar) {
        snprintf(shape, sizeof(shape), "%u", count);
    }
    feri_fact *fact = kit_in(kit, FER_I64, shape);
    fact->elements = FERI_BUMP_ARRAY(&kit->bump, feri_sym, count);
    fact->element_count = count;
    for (uint32_t i = 0; i < count; i++) {
        fact->elements[i] = elements[i];
    }
    return fact;
}

static inline void kit_int(op_kit *kit, const char *name, int64_t value) {
    kit->attrs[kit->call.attr_count++] =
        (fer_attr){.name = name, .type = FER_ATTR_INT, .count = 1, .value.i = value};
}

static inline void kit_ints(op_kit *kit, const char *name, uint32_t count, const int64_t *values) {
    kit->attrs[kit->call.attr_count++] =
        (fer_attr){.name = name, .type = FER_ATTR_INTS, .count = count, .value.ints = values};
}
#define KIT_INTS(kit, name, ...)                                                                   \
    kit_ints(                                                                                      \
        kit, name, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static inline void kit_string(op_kit *kit, const char *name, const char *value) {
    kit->attrs[kit->call.attr_count++] = (fer_attr){
        .name = name, .type = FER_ATTR_STRING, .count = 1, .value.s = {value, strlen(value)}
    };
}

static inline const char *kit_list(op_kit *kit, int32_t count, const feri_sym *list) {
    kit->text[0] = '\0';
    for (int32_t i = 0; i < count; i++) {
        char one[64];
        feri_sym_print(kit->terms, list[i], one, sizeof(one));
        size_t used = strlen(kit->text);
        snprintf(kit->text + used, sizeof(kit->text) - used, "%s%s", i ? " " : "", one);
    }
    return kit->text;
}

/* The dims of a result as text. */
static inline const char *kit_dims(op_kit *kit, uint32_t index) {
    return kit->out[index].rank < 0 ? "*"
                                    : kit_list(kit, kit->out[index].rank, kit->out[index].dims);
}

static inline const char *kit_elements(op_kit *kit) {
    return kit->out[0].elements
               ? kit_list(kit, (int32_t)kit->out[0].element_count, kit->out[0].elements)
               : "*";
}

/* Runs the call: the first result has these dims. */
#define KIT_DIMS(kit, shape)                                                                       \
    do {                                                                                           \
        if (feri_op_infer(&(kit)->call) != FER_OK) {                                               \
            fail_msg("%s", fer_error_last()->message);                                             \
        }                                                                                          \
        assert_string_equal(kit_dims(kit, 0), shape);                                              \
    } while (0)
/* Runs the call: the first result has these elements. */
#define KIT_ELEMENTS(kit, values)                                                                  \
    do {                                                                                           \
        if (feri_op_infer(&(kit)->call) != FER_OK) {                                               \
            fail_msg("%s", fer_error_last()->message);                                             \
        }                                                                                          \
        assert_string_equal(kit_elements(kit), values);                                            \
    } while (0)
/* Runs the call: it is refused, naming the node. */
#define KIT_REFUSED(kit, wanted)                                                                   \
    do {                                                                                           \
        assert_int_equal(feri_op_infer(&(kit)->call), wanted);                                     \
        assert_non_null(strstr(fer_error_last()->message, "'n'"));                                 \
    } while (0)

#endif
