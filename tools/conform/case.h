/* SPDX-License-Identifier: Apache-2.0
 *
 * A conformance case and what the generators share. A case's name holds all of it:
 *
 *     op / dtype / shape / attributes / values / seed Conv/f32/odd/pads=1:0:2:1,group=2/uniform/17
 *
 * The attribute text is "key=value,..."; lists are joined with ':' ("axes=0:2", one element
 * "axes=0:", none "axes=:"). A key is an attribute of the op, an operand (then the value is its
 * contents), a type letter of the schema ("T2=i8") or a word of the generator ("with=B:mask" gives
 * optional operands, "outs=2", "k=3:3"); "-" is no text.
 */
#ifndef FERRULE_CONFORM_CASE_H
#define FERRULE_CONFORM_CASE_H

#include "case_numbers.h"

#define CASE_INPUTS 16
#define CASE_OUTPUTS 8
#define CASE_ARGS 24
#define CASE_LIST 96
#define CASE_NAME 256

/* Rows leave out the hooks they do not need. */
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"

/* ---- facts of ops, from the public op table ---- */

typedef struct op_row {
    uint32_t number;
    uint32_t revision;
    const char *domain;
    const char *name;
    const char *inputs;
    const char *outputs;
    const char *types;
    const char *attrs;
    const char *family;
    const char *expand; /* "none" without one */
    const char *flags;
} op_row;

typedef struct op_operand {
    const char *name;
    const char *type;
    uint32_t name_length;
    uint32_t type_length;
    int32_t is_optional;
    int32_t is_variadic;
} op_operand;

uint32_t op_rows_count(void);
const op_row *op_row_at(uint32_t index);
/* "Conv", "ai.onnx.ml.Scaler"; NULL when there is none. */
const op_row *op_row_find(const char *name, size_t length);
/* The name with its domain, as op_row_find takes it. */
void op_row_label(const op_row *row, char *out_text, size_t capacity);
/* 1 when this build of the library has the op. */
int op_row_is_built(const op_row *row);
/* Operand index of "name:type, ..." (the variadic one for all that follow); 0 when there is none.
 */
int operand_at(const char *text, uint32_t index, op_operand *out_operand);
/* Bit per dtype that a type letter or class list allows. */
uint32_t type_mask(const op_row *row, const char *type, size_t length);
/* The kind letter of an attribute (i f s t g I F S, ...), 0 when the op has no such attribute. */
char attribute_kind(const op_row *row, const char *name, size_t length);

/* ---- a case ---- */

enum {
    FILL_FAMILY,   /* what the case's value family says */
    FILL_LIST,     /* the contents are list[] */
    FILL_RANGE,    /* uniform in [low, high]; whole numbers for integers */
    FILL_POSITIVE, /* the family's magnitudes, never 0 */
    FILL_NONZERO,
    FILL_WHEEL /* element i is low * i modulo high: each number once when they share no factor */
};

typedef struct case_arg {
    char key[32];
    char text[CASE_LIST * 2];
} case_arg;

typedef struct case_input {
    char name[32];
    fer_dtype dtype;
    int32_t is_present;
    int32_t is_constant; /* an initializer of the graph, not an input */
    int32_t is_moved;    /* a movement op's data: oracles see element numbers, not values */
    int32_t fill;
    uint32_t rank;
    int64_t dims[FER_MAX_RANK];
    double low, high;
    uint32_t list_count;
    double list[CASE_LIST];
    const char *words; /* strings to draw from, joined with ':'; NULL: the family's */
    fer_tensor *tensor;
    nd number;
} case_input;

struct case_row;

typedef struct trial {
    char name[CASE_NAME];
    const struct case_row *row;
    const op_row *op;
    fer_dtype dtype;
    char shape[64];
    char values[24];
    uint32_t seed;
    case_arg args[CASE_ARGS];
    uint32_t arg_count;
    uint32_t rank; /* what the shape word stands for */
    int64_t dims[FER_MAX_RANK];
    case_input inputs[CASE_INPUTS];
    uint32_t input_count;
    uint32_t output_count;
    char sentence[300];            /* why the name is no case */
    void *memory;                  /* freed with the trial */
    fer_tensor *held[CASE_INPUTS]; /* tensors of attributes, released with it */
    uint32_t held_count;
} trial;

enum {
    ROW_MOVEMENT = 1, /* outputs are elements of inputs, or zero: any dtype, compared bit by bit */
    ROW_EXACT = 2,    /* no rounding is allowed even for floats */
    ROW_ZEROS = 4,    /* many zeros are what the op is for */
    ROW_HALF = 8,     /* every other case of the product is enough */
    ROW_SCALAR_TOO = 16,
    ROW_IMPORTED = 32 /* the graph goes through a model's bytes: what importing does belongs to it */
};

/* How to make and check one op's cases. Lists are separated by blanks. */
typedef struct case_row {
    const char *op;
    const char *dtypes; /* class list; NULL: what the schema allows */
    const char *shapes; /* words of shapes_of, or dims as 2x3x4 */
    const char *attrs;  /* attribute texts */
    const char *values; /* NULL: by dtype */
    /* Gives operands their dims and contents; 0: these words make no case. NULL: all as the first.
     */
    int (*fill)(trial *self);
    /* The outputs, straight from the specification; 0 when it cannot say. NULL: no oracle but ref.
     */
    int (*oracle)(const trial *self, const nd *in, nd *out);
    int32_t flags;
    /* For ops that draw or choose: judges outputs; 0 and a sentence when they are wrong. */
    int (*judge)(const trial *self, fer_tensor *const *outputs, char *sentence, size_t capacity);
    /* For what takes more than one node: adds nodes after the inputs. NULL: one node. */
    fer_status (*build)(const trial *self,
                        fer_graph *graph,
                        fer_context *context,
                        const fer_value_id *inputs,
                        fer_value_id *out_outputs);
    /* For what the builder cannot say (captures, inputs that are no tensors): the whole graph and
     * what it is fed, in order. The trial's operands are what the oracle sees. */
    fer_status (*make)(const trial *self,
                       fer_context *context,
                       fer_graph **out_graph,
                       fer_value **out_inputs,
                       uint32_t *out_count);
} case_row;

typedef struct case_family {
    const char *name;
    const case_row *rows;
    uint32_t count;
} case_family;

const case_family *case_family_at(uint32_t index);

/* Calls visit with the name of every case whose name matches; stops when it returns nonzero. */
typedef int (*case_visit)(void *self, const char *name);
typedef struct case_filter {
    const char *op;      /* pattern on the op's label */
    const char *dtype;   /* pattern */
    const char *pattern; /* pattern on the whole name */
} case_filter;
int cases_each(const case_filter *filter, case_visit visit, void *visit_self);

/* Fills self from a name; 0 and self->sentence when it is none. */
int trial_parse(trial *self, const char *name);
/* Contents for every operand. */
fer_status trial_values(trial *self, fer_context *context);
void trial_finish(trial *self);
/* Zeroed memory that lives as long as the trial; the process ends when there is none. */
void *trial_memory(const trial *self, uint64_t bytes);

/* Words of the attribute text. */
const char *arg_text(const trial *self, const char *key);
int64_t arg_int(const trial *self, const char *key, int64_t absent);
double arg_real(const trial *self, const char *key, double absent);
int arg_is(const trial *self, const char *key, const char *absent, const char *text);
/* Numbers of a list; how many (0 when absent). */
uint32_t arg_list(const trial *self, const char *key, double *out_list, uint32_t capacity);
uint32_t arg_ints(const trial *self, const char *key, int64_t *out_list, uint32_t capacity);
int arg_with(const trial *self, const char *operand);

/* What fill functions use. */
void input_dims(trial *self, uint32_t index, uint32_t rank, const int64_t *dims);
void input_range(trial *self, uint32_t index, double low, double high);
case_input *input_named(trial *self, const char *name);

/* Attributes for fer_node_desc, in the trial's memory; how many. A tensor is written as its dtype
 * and elements, "value=f32:1:2". */
uint32_t
trial_attrs(const trial *self, fer_context *context, fer_attr *out_attrs, uint32_t capacity);
/* The case's own node, with attributes beside those of the text. */
fer_status trial_node(const trial *self,
                      fer_context *context,
                      fer_graph *graph,
                      const fer_value_id *inputs,
                      const fer_attr *more,
                      uint32_t more_count,
                      fer_value_id *out_outputs);
/* A list that is too long for a name: drawn from the name and key, in eighths of [low, high]. */
float *trial_floats(const trial *self, const char *key, uint32_t count, double low, double high);
int64_t *trial_ints(const trial *self, const char *key, uint32_t count, int64_t low, int64_t high);
/* Takes over a tensor that an attribute holds. */
fer_tensor *trial_hold(const trial *self, fer_tensor *tensor);
/* Piece of "a:b:c", in the trial's memory; NULL past the last. */
const char *text_piece(const trial *self, const char *text, uint32_t index);
uint32_t text_pieces(const char *text);
/* Equal strings have equal numbers: what oracles see of strings, and give for them. */
long double text_number(const char *text, size_t length);

#endif
