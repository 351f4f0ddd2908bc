/* SPDX-License-Identifier: Apache-2.0
 *
 * What the host ops share: reading operands, giving results, running bodies, failing with the
 * node's name. One function per op, named in host_table.c. Used inside lib/host only.
 */
#ifndef FERI_HOST_HOST_CALL_H
#define FERI_HOST_HOST_CALL_H

#include "base/error.h"
#include "host/host.h"

static inline fer_context *feri_host_context(const feri_host_call *call) {
    return (fer_context *)(void *)call->env;
}

/* status with "<Op> '<node>': " in front. */
fer_status feri_host_fail(const feri_host_call *call, fer_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
/* Deadline and cancel. */
fer_status feri_host_check(const feri_host_call *call);

/* The operand, NULL when left out. Borrowed. */
fer_value *feri_host_operand(const feri_host_call *call, uint32_t index);
/* The operand as what it must be, borrowed; INVALID_INPUT when it is left out or something else. */
fer_status feri_host_tensor(const feri_host_call *call, uint32_t index, fer_tensor **out_tensor);
fer_status feri_host_sequence(const feri_host_call *call, uint32_t index, fer_value **out_value);
/* The single element of an integer or bool tensor; what names it in the sentence. */
fer_status feri_host_number(const feri_host_call *call,
                            const fer_value *value,
                            const char *what,
                            int64_t *out_number);
int64_t feri_host_attr(const feri_host_call *call, const char *name, int64_t absent);
/* axis in [-rank, rank) made nonnegative. */
fer_status
feri_host_axis(const feri_host_call *call, int64_t axis, uint32_t rank, uint32_t *out_axis);

/* Whether somebody wants result index. */
int feri_host_wants(const feri_host_call *call, uint32_t index);
/* Takes the reference over, also on failure and when nobody wants the result. */
void feri_host_give(feri_host_call *call, uint32_t index, fer_value *value);
fer_status feri_host_give_tensor(feri_host_call *call, uint32_t index, fer_tensor *tensor);
/* Gives the tensor as result 0 where status is OK, else releases it. */
fer_status feri_host_end(feri_host_call *call, fer_status status, fer_tensor *tensor);
/* A new tensor value of one element (i64 or bool) without dims. */
fer_status feri_host_scalar(const feri_host_call *call,
                            fer_dtype dtype,
                            int64_t number,
                            fer_value **out_value);

/* A body and the operands of its next run. in owns references; captures are set by open. */
typedef struct feri_host_body {
    feri_host_call *call;
    const fer_graph *graph;
    uint32_t index;
    uint32_t formal_count;
    fer_value **in;
    uint32_t in_count;
    fer_value **out;
    uint32_t out_count;
} feri_host_body;
fer_status feri_host_body_open(feri_host_call *call, const char *attr, feri_host_body *body);
void feri_host_body_close(feri_host_body *body);
/* Takes the reference over; what was there is released. */
void feri_host_body_set(feri_host_body *body, uint32_t index, fer_value *value);
/* Fills body->out, whose earlier contents are released. */
fer_status feri_host_body_run(feri_host_body *body);
/* The output, whose reference is the caller's from now on. */
fer_value *feri_host_body_take(feri_host_body *body, uint32_t index);

/* Every op the host runs. */
#define FERI_HOST_LIST(X)                                                                          \
    X(if)                                                                                          \
    X(loop)                                                                                        \
    X(scan)                                                                                        \
    X(sequence_map)                                                                                \
    X(sequence_construct)                                                                          \
    X(sequence_empty)                                                                              \
    X(sequence_at)                                                                                 \
    X(sequence_insert)                                                                             \
    X(sequence_erase)                                                                              \
    X(sequence_length)                                                                             \
    X(split_to_sequence)                                                                           \
    X(concat_from_sequence)                                                                        \
    X(optional)                                                                                    \
    X(optional_has_element)                                                                        \
    X(optional_get_element)                                                                        \
    X(identity)                                                                                    \
    X(shape)                                                                                       \
    X(size)                                                                                        \
    X(string_equal)                                                                                \
    X(string_cast)                                                                                 \
    X(string_fold)                                                                                 \
    X(string_move)                                                                                 \
    X(string_concat)                                                                               \
    X(string_split)                                                                                \
    X(string_normalizer)                                                                           \
    X(string_regex)                                                                                \
    X(tfidf)                                                                                       \
    X(label_encoder)                                                                               \
    X(category_mapper)                                                                             \
    X(one_hot_encoder)                                                                             \
    X(string_unique)                                                                               \
    X(string_classifier)                                                                           \
    X(string_nonzero)                                                                              \
    X(image_decoder)                                                                               \
    X(zip_map)                                                                                     \
    X(cast_map)                                                                                    \
    X(dict_vectorizer)

#define FERI_DECLARE(name) fer_status feri_host_##name(feri_host_call *call);
FERI_HOST_LIST(FERI_DECLARE)
#undef FERI_DECLARE

#endif
