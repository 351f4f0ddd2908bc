/* SPDX-License-Identifier: Apache-2.0
 *
 * Ops: the table's rows and what can be asked of them. Inference and small-value evaluation are one
 * thing, the evaluator: it sees facts (what is known of a value) and never a graph, so shape
 * inference, shape programs and the folding of small values all use it. Rows come from
 * include/ferrule/op_table.def.
 */
#ifndef FERI_OP_OP_H
#define FERI_OP_OP_H

#include "op/terms.h"

#include <string.h>

#define FERI_ONNX_OPSET 27
/* Values with more elements than this are tensors, not shape arithmetic. */
#define FERI_MAX_ELEMENTS 1024

enum {
    FERI_OP_DATA_DEPENDENT = 1u << 0, /* output sizes depend on data: buffers hold an upper bound */
    FERI_OP_CONTROL = 1u << 1,        /* has bodies; run by the host */
    FERI_OP_HOST = 1u << 2,           /* sequences, optionals, strings: run by the host */
    FERI_OP_RANDOM = 1u << 3          /* not pure: never folded or merged */
};

/* What is known of one value. */
typedef struct feri_fact {
    int32_t kind;    /* FER_KIND_..., 0 unknown */
    fer_dtype dtype; /* of the tensor, or of the tensors in a sequence or optional; 0 unknown */
    int32_t rank;    /* -1 unknown */
    uint32_t element_count; /* of elements */
    feri_sym *dims;         /* rank entries */
    feri_sym
        *elements; /* NULL unknown; else element_count entries, each a number, a term or unknown */
    const void *data; /* constants: contents in host memory, perhaps unaligned; else NULL */
    uint8_t is_optional_of_sequence;
} feri_fact;

typedef struct feri_op feri_op;

/* One call of the evaluator. in[i] is NULL for an operand left out, out[i] for a result nobody
 * wants; the others come zeroed with rank -1, and feri_op_check gives them kind and dtype from the
 * row's types. */
typedef struct feri_infer {
    const feri_op *op;
    const char *node;  /* name, for messages */
    fer_status status; /* the first failure; see op/infer.h */
    const fer_attr *attrs;
    uint32_t attr_count;
    uint32_t in_count;
    uint32_t out_count;
    feri_fact *const *in;
    feri_fact *const *out;
    feri_terms *terms;
    feri_bump *bump; /* dims and elements are allocated here */
} feri_infer;

/* Sets what can be known of the outputs; in call->status INVALID_MODEL for what cannot be right
 * (also INVALID_INPUT at run time; the caller maps). Leaves rank -1, dims or elements unknown where
 * they cannot be known. */
typedef void (*feri_infer_fn)(feri_infer *call);

/* An expansion: writes the op as a body in the text form of graph/expand.h, given the facts and
 * attributes. */
typedef struct feri_text feri_text;
typedef fer_status (*feri_expand_fn)(feri_infer *call, feri_text *out_body);

/* A row, made by tools/pack_ops.py. Its texts lie behind it in the same object: bytes from the row.
 */
struct feri_op {
    uint16_t name_at;
    uint16_t columns_at; /* see feri_op_text */
    uint16_t number;     /* FER_OP_... */
    uint8_t rule;        /* of inference; 0: not yet */
    uint8_t expansion;   /* 0: none */
    uint8_t revision;
    uint8_t family; /* FERI_FAMILY_... */
    uint8_t flags;  /* FERI_OP_... */
};

#define FERI_OP_FAMILIES(X)                                                                        \
    X(attention)                                                                                   \
    X(binary)                                                                                      \
    X(control)                                                                                     \
    X(conv)                                                                                        \
    X(loss)                                                                                        \
    X(matmul)                                                                                      \
    X(ml)                                                                                          \
    X(movement)                                                                                    \
    X(norm)                                                                                        \
    X(pool)                                                                                        \
    X(quantize)                                                                                    \
    X(random)                                                                                      \
    X(recurrent)                                                                                   \
    X(reduce)                                                                                      \
    X(resize)                                                                                      \
    X(sequence)                                                                                    \
    X(shape)                                                                                       \
    X(signal)                                                                                      \
    X(string)                                                                                      \
    X(training)                                                                                    \
    X(unary)
enum {
#define FERI_FAMILY(name) FERI_FAMILY_##name,
    FERI_OP_FAMILIES(FERI_FAMILY)
#undef FERI_FAMILY
};

/* A domain is a range of numbers. */
const char *feri_op_domain(const feri_op *op);
static inline const char *feri_op_name(const feri_op *op) { return (const char *)op + op->name_at; }
/* A column of the row as text, without blanks and the defaults of attributes. */
typedef enum feri_op_column {
    FERI_COLUMN_INPUTS,
    FERI_COLUMN_OUTPUTS,
    FERI_COLUMN_TYPES,
    FERI_COLUMN_ATTRS
} feri_op_column;
const char *feri_op_text(const feri_op *op, feri_op_column column);
feri_infer_fn feri_op_rule(const feri_op *op); /* NULL: not yet */
/* Writes the op's expansion, which it must have. */
fer_status feri_op_expand(feri_infer *call, feri_text *out_body);

/* NULL when there is none. "ai.onnx" is "". */
const feri_op *feri_op_find(const char *domain, const char *name);
/* The same, or UNSUPPORTED with a sentence that says how to get an op that this build left out
 * (ferrule/op_selection.h); node is the name of who uses it. */
fer_status
feri_op_find_for(const char *domain, const char *name, const char *node, const feri_op **out_op);
uint32_t feri_op_table_count(void);
const feri_op *feri_op_at(uint32_t index);

/* Signature facts, parsed from the row: each of these reads it anew. */
uint32_t feri_op_min_inputs(const feri_op *op);
uint32_t feri_op_max_inputs(const feri_op *op); /* UINT32_MAX: variadic */
uint32_t feri_op_min_outputs(const feri_op *op);
uint32_t feri_op_max_outputs(const feri_op *op);
int feri_op_input_is_optional(const feri_op *op, uint32_t index);
/* 1 when the operand's values decide shapes or a branch (#). */
int feri_op_input_decides(const feri_op *op, uint32_t index);

/* Checks counts, attribute names and kinds, required attributes, and input dtypes and kinds against
 * the row, then sets kind and dtype of the outputs from the types (ops whose dtype comes from an
 * attribute do so in infer). INVALID_MODEL names node, operand, what it is and what was expected.
 * Unknown (0) input dtypes pass. */
fer_status feri_op_check(feri_infer *call);
/* feri_op_check, then infer. UNSUPPORTED "not yet" for rows without infer (control ops are the
 * caller's). */
fer_status feri_op_infer(feri_infer *call);

/* After feri_op_infer with input dims that are numbers: gives the unknown result dims of a
 * FERI_OP_DATA_DEPENDENT op (NonZero, Compress, Unique, NonMaxSuppression) the largest number they
 * can take. Other ops: nothing. */
fer_status feri_op_upper_bound(feri_infer *call);

/* Attributes by name; the default given here is used when absent. A wrong kind cannot occur after
 * feri_op_check. */
const fer_attr *feri_attr_find(const fer_attr *attrs, uint32_t count, const char *name);
int64_t feri_attr_int(const fer_attr *attrs, uint32_t count, const char *name, int64_t absent);
float feri_attr_float(const fer_attr *attrs, uint32_t count, const char *name, float absent);
/* The entries of an attribute: of a list, or the one it is. */
const void *feri_attr_entries(const fer_attr *attr, uint32_t *out_count);
/* What the entries are; a list's type is 4 above that of its entries. */
enum { FERI_ENTRY_OTHER, FERI_ENTRY_INT, FERI_ENTRY_FLOAT, FERI_ENTRY_STRING };
static inline int feri_attr_entry(const fer_attr *attr) { return attr->type & 3; }
static inline uint32_t feri_attr_entry_bytes(const fer_attr *attr) {
    static const uint8_t bytes[] = {0, sizeof(int64_t), sizeof(float), sizeof(fer_string)};
    return bytes[feri_attr_entry(attr)];
}
const char *
feri_attr_string(const fer_attr *attrs, uint32_t count, const char *name, const char *absent);
/* Part number index of an attribute's contents: where it is, and its bytes; NULL past the last, and
 * for tensors and graphs. By bits, so that NaN equals itself, and -0 is not 0. */
const void *feri_attr_part(const fer_attr *attr, uint32_t index, uint64_t *out_bytes);

/* The elements of a fact, loaded from data when it is a small constant: element_count entries or
 * NULL when unknown (or not at most FERI_MAX_ELEMENTS, or not a dtype of shape arithmetic). */
feri_sym *feri_fact_elements(feri_fact *fact, feri_bump *bump);
/* Dims set to rank entries of number or unknown. */
fer_status feri_fact_set_dims(feri_fact *fact, feri_bump *bump, int32_t rank, const feri_sym *dims);
/* 1 when kind, dtype, rank and every dim is a number. */
int feri_fact_is_concrete(const feri_fact *fact);
/* Elements as a number, unknown if any dim is; product of dims. */
feri_sym feri_fact_count(const feri_fact *fact, feri_terms *terms);
fer_status feri_fact_copy(const feri_fact *source, feri_bump *bump, feri_fact *out_fact);
/* An element of a float dtype holds the bits of a double. */
static inline double feri_sym_as_f64(feri_sym element) {
    double value;
    memcpy(&value, &element.number, sizeof(value));
    return value;
}
static inline feri_sym feri_sym_from_f64(double value) {
    feri_sym element = {0, 0};
    memcpy(&element.number, &value, sizeof(value));
    return element;
}

/* Estimated operations of a node with concrete facts: 2*M*N*K for products, elements of the output
 * otherwise. */
double feri_op_work(const feri_infer *call);

#endif
