/* SPDX-License-Identifier: Apache-2.0
 *
 * From a case's name to the case: words, dtypes of operands, dims. Contents come later
 * (case_values.c), so that listing twenty thousand cases costs nothing.
 */
#include "case.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct block {
    struct block *next;
    long double contents[];
} block;

void *trial_memory(const trial *self, uint64_t bytes) {
    trial *owner = (trial *)(uintptr_t)self;
    block *made = bytes < (uint64_t)1 << 40 ? calloc(1, sizeof(block) + bytes) : NULL;
    if (made == NULL) {
        fprintf(stderr,
                "ferrule: OUT_OF_MEMORY: case %s needs %llu bytes more\n",
                self->name,
                (unsigned long long)bytes);
        _Exit(5);
    }
    made->next = owner->memory;
    owner->memory = made;
    return made->contents;
}

void trial_finish(trial *self) {
    for (uint32_t i = 0; i < self->input_count; i++) {
        fer_tensor_release(self->inputs[i].tensor);
    }
    for (uint32_t i = 0; i < self->held_count; i++) {
        fer_tensor_release(self->held[i]);
    }
    for (block *at = self->memory; at != NULL;) {
        block *next = at->next;
        free(at);
        at = next;
    }
    self->memory = NULL;
    self->input_count = 0;
    self->held_count = 0;
}

__attribute__((format(printf, 2, 3))) static int refuse(trial *self, const char *format, ...) {
    va_list list;
    va_start(list, format);
    (void)vsnprintf(self->sentence, sizeof self->sentence, format, list);
    va_end(list);
    return 0;
}

/* ---- words ---- */

const char *arg_text(const trial *self, const char *key) {
    for (uint32_t i = 0; i < self->arg_count; i++) {
        if (strcmp(self->args[i].key, key) == 0) {
            return self->args[i].text;
        }
    }
    return NULL;
}

int64_t arg_int(const trial *self, const char *key, int64_t absent) {
    const char *text = arg_text(self, key);
    return text != NULL ? strtoll(text, NULL, 10) : absent;
}

double arg_real(const trial *self, const char *key, double absent) {
    const char *text = arg_text(self, key);
    /* Attributes are floats of 32 bits. */
    return text != NULL ? (double)strtof(text, NULL) : absent;
}

int arg_is(const trial *self, const char *key, const char *absent, const char *text) {
    const char *found = arg_text(self, key);
    return strcmp(found != NULL ? found : absent, text) == 0;
}

static double word_number(const char *text) {
    fer_dtype dtype = FER_DTYPE_NONE;
    char word[16] = "";
    size_t length = strcspn(text, ":");
    if (length > 0 && length < sizeof word) {
        memcpy(word, text, length);
        dtype = fer_dtype_from_name(word);
    }
    return dtype != FER_DTYPE_NONE ? dtype : strtod(text, NULL);
}

uint32_t arg_list(const trial *self, const char *key, double *out_list, uint32_t capacity) {
    const char *text = arg_text(self, key);
    uint32_t count = 0;
    while (text != NULL && *text != '\0' && count < capacity) {
        size_t length = strcspn(text, ":");
        if (length > 0) {
            out_list[count++] = word_number(text);
        }
        text += length + (text[length] == ':');
    }
    return count;
}

uint32_t arg_ints(const trial *self, const char *key, int64_t *out_list, uint32_t capacity) {
    double list[CASE_LIST];
    uint32_t count = arg_list(self, key, list, capacity < CASE_LIST ? capacity : CASE_LIST);
    for (uint32_t i = 0; i < count; i++) {
        out_list[i] = (int64_t)list[i];
    }
    return count;
}

int arg_with(const trial *self, const char *operand) {
    const char *text = arg_text(self, "with");
    while (text != NULL && *text != '\0') {
        size_t length = strcspn(text, ":");
        if (strlen(operand) == length && memcmp(text, operand, length) == 0) {
            return 1;
        }
        text += length + (text[length] == ':');
    }
    return 0;
}

static int parse_args(trial *self, const char *text) {
    if (strcmp(text, "-") == 0) {
        return 1;
    }
    while (*text != '\0') {
        size_t length = strcspn(text, ",");
        const char *equals = memchr(text, '=', length);
        case_arg *arg = &self->args[self->arg_count];
        if (equals == NULL || self->arg_count == CASE_ARGS ||
            (size_t)(equals - text) >= sizeof arg->key ||
            length - (size_t)(equals - text) > sizeof arg->text) {
            return refuse(self, "'%.*s' is not key=value", (int)length, text);
        }
        (void)snprintf(arg->key, sizeof arg->key, "%.*s", (int)(equals - text), text);
        (void)snprintf(arg->text,
                       sizeof arg->text,
                       "%.*s",
                       (int)(length - (size_t)(equals - text) - 1),
                       equals + 1);
        self->arg_count++;
        text += length + (text[length] == ',');
    }
    return 1;
}

/* ---- shapes ---- */

static const struct {
    const char *word;
    const char *dims;
} shapes[] = {
    {"scalar", ""           },
    {"empty",  "3x0x5"      },
    {"one",    "1x1x1"      },
    {"odd",    "3x5x7"      },
    {"prime",  "13x17"      },
    {"wide",   "3x521"      },
    {"tall",   "521x3"      },
    {"vector", "37"         },
    {"high",   "2x1x3x2x1x2"},
    {"big",    "7x9973"     },
    {"image",  "2x4x7x5"    },
    {"row",    "1x3x4x61"   },
    {"column", "1x3x61x4"   },
    {"pixel",  "1x1x1x1"    },
    {"line",   "2x3x11"     },
    {"cube",   "1x2x5x4x3"  },
    {"large",  "1x2x191x193"},
    {"hollow", "0x3x5x5"    },
};

static int parse_shape(trial *self) {
    const char *text = self->shape;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        if (strcmp(text, shapes[i].word) == 0) {
            text = shapes[i].dims;
        }
    }
    while (*text != '\0') {
        char *end;
        long long dim = strtoll(text, &end, 10);
        if (end == text || dim < 0 || dim > (1 << 24) || self->rank == FER_MAX_RANK ||
            (*end != '\0' && *end != 'x')) {
            return refuse(self, "'%s' is no shape: a word or dims as 2x3x4", self->shape);
        }
        self->dims[self->rank++] = dim;
        text = end + (*end == 'x');
    }
    return dims_count(self->rank, self->dims) <= (1u << 24)
               ? 1
               : refuse(self, "'%s' is too large", self->shape);
}

/* ---- operands ---- */

/* The dtype bound to a letter: a word of the name, else the case's own where allowed, else i64,
 * else f32, else any. */
static fer_dtype bound_dtype(const trial *self, const op_operand *operand) {
    char letter[16];
    (void)snprintf(letter, sizeof letter, "%.*s", (int)operand->type_length, operand->type);
    const char *given = arg_text(self, letter);
    if (given != NULL) {
        return fer_dtype_from_name(given);
    }
    uint32_t mask = type_mask(self->op, operand->type, operand->type_length);
    static const fer_dtype preferred[] = {FER_I64, FER_F32, FER_BOOL};
    if ((mask >> self->dtype & 1) != 0) {
        return self->dtype;
    }
    for (size_t i = 0; i < 3; i++) {
        if ((mask >> preferred[i] & 1) != 0) {
            return preferred[i];
        }
    }
    for (fer_dtype dtype = 1; dtype < FER_DTYPE_COUNT; dtype++) {
        if ((mask >> dtype & 1) != 0) {
            return dtype;
        }
    }
    return self->dtype;
}

case_input *input_named(trial *self, const char *name) {
    for (uint32_t i = 0; i < self->input_count; i++) {
        if (strcmp(self->inputs[i].name, name) == 0) {
            return &self->inputs[i];
        }
    }
    return NULL;
}

void input_dims(trial *self, uint32_t index, uint32_t rank, const int64_t *dims) {
    case_input *input = &self->inputs[index];
    input->rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        input->dims[i] = dims[i];
    }
}

void input_range(trial *self, uint32_t index, double low, double high) {
    self->inputs[index].fill = FILL_RANGE;
    self->inputs[index].low = low;
    self->inputs[index].high = high;
}

static void input_list(trial *self, case_input *input, const char *text) {
    input->is_present = 1;
    input->fill = FILL_LIST;
    input->is_constant = self->seed % 2;
    input->list_count = arg_list(self, input->name, input->list, CASE_LIST);
    input->rank = strchr(text, ':') != NULL;
    input->dims[0] = input->list_count;
}

static int add_operands(trial *self) {
    op_operand operand;
    uint32_t count = 0;
    for (uint32_t i = 0; i < CASE_INPUTS && operand_at(self->op->inputs, i, &operand); i++) {
        if (operand.is_variadic && count >= i && i >= (uint32_t)arg_int(self, "n", 3)) {
            break;
        }
        case_input *input = &self->inputs[i];
        (void)snprintf(
            input->name, sizeof input->name, "%.*s", (int)operand.name_length, operand.name);
        if (operand.is_variadic) {
            (void)snprintf(input->name, sizeof input->name, "in%u", i);
        }
        input->dtype = bound_dtype(self, &operand);
        input->is_moved = self->row != NULL && (self->row->flags & ROW_MOVEMENT) != 0;
        input->is_present = !operand.is_optional || arg_with(self, input->name);
        const char *text = operand.is_variadic ? NULL : arg_text(self, input->name);
        if (input->dtype == FER_DTYPE_NONE) {
            return refuse(self, "operand %s has an unknown dtype", input->name);
        }
        self->input_count = i + 1;
        input_dims(self, i, self->rank, self->dims);
        if (text != NULL && attribute_kind(self->op, input->name, strlen(input->name)) == 0) {
            input_list(self, input, text);
            input->is_moved = 0;
        }
        count = self->input_count;
    }
    while (self->input_count > 0 && !self->inputs[self->input_count - 1].is_present) {
        self->input_count--;
    }
    return 1;
}

static void count_outputs(trial *self) {
    op_operand operand;
    uint32_t least = 0;
    for (uint32_t i = 0; i < CASE_OUTPUTS && operand_at(self->op->outputs, i, &operand); i++) {
        if (operand.is_variadic) {
            least = i + 1;
            break;
        }
        least = operand.is_optional ? least : i + 1;
    }
    self->output_count = (uint32_t)arg_int(self, "outs", least > 0 ? least : 1);
    self->output_count = self->output_count < CASE_OUTPUTS ? self->output_count : CASE_OUTPUTS;
}

/* The dtypes a row is for: its own list within what the schema allows the first operand (or the
 * first result). */
static uint32_t row_mask(const case_row *row, const op_row *op) {
    op_operand operand;
    uint32_t mask = 0;
    if (operand_at(op->inputs, 0, &operand) || operand_at(op->outputs, 0, &operand)) {
        mask = type_mask(op, operand.type, operand.type_length);
    }
    if (row->dtypes != NULL) {
        mask = 0;
        const char *text = row->dtypes;
        while (*text != '\0') {
            size_t length = strcspn(text, "|");
            mask |= type_mask(NULL, text, length);
            text += length + (text[length] == '|');
        }
    }
    return mask;
}

static int has_word(const char *list, const char *word) {
    size_t length = strlen(word);
    for (const char *at = list; (at = strstr(at, word)) != NULL; at += length) {
        if ((at == list || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) {
            return 1;
        }
    }
    return 0;
}

/* The row that lists these attributes, else the first for op and dtype. */
static const case_row *row_find(const op_row *op, fer_dtype dtype, const char *attrs) {
    char label[96];
    const case_row *found = NULL;
    op_row_label(op, label, sizeof label);
    for (uint32_t f = 0; case_family_at(f) != NULL; f++) {
        const case_family *family = case_family_at(f);
        for (uint32_t i = 0; i < family->count; i++) {
            const case_row *row = &family->rows[i];
            if (strcmp(row->op, label) != 0 || (row_mask(row, op) >> dtype & 1) == 0) {
                continue;
            }
            if (has_word(row->attrs, attrs)) {
                return row;
            }
            found = found != NULL ? found : row;
        }
    }
    return found;
}

/* The next of six parts; the last takes the rest. */
static int next_part(const char **text, char *out_part, size_t capacity, int is_last) {
    size_t length = is_last ? strlen(*text) : strcspn(*text, "/");
    if (length == 0 || length >= capacity || (!is_last && (*text)[length] != '/')) {
        return 0;
    }
    memcpy(out_part, *text, length);
    out_part[length] = '\0';
    *text += length + !is_last;
    return 1;
}

static int parse_words(trial *self, const char *name) {
    char op[96], dtype[16], args[CASE_NAME], seed[16];
    const char *text = name;
    if (strlen(name) >= sizeof self->name || !next_part(&text, op, sizeof op, 0) ||
        !next_part(&text, dtype, sizeof dtype, 0) ||
        !next_part(&text, self->shape, sizeof self->shape, 0) ||
        !next_part(&text, args, sizeof args, 0) ||
        !next_part(&text, self->values, sizeof self->values, 0) ||
        !next_part(&text, seed, sizeof seed, 1)) {
        return refuse(self, "a case is op/dtype/shape/attributes/values/seed, not '%.120s'", name);
    }
    memcpy(self->name, name, strlen(name) + 1);
    char *end;
    self->seed = (uint32_t)strtoul(seed, &end, 10);
    self->op = op_row_find(op, strlen(op));
    self->dtype = fer_dtype_from_name(dtype);
    if (*end != '\0') {
        return refuse(self, "the seed is a number, not '%s'", seed);
    }
    if (self->op == NULL || self->dtype == FER_DTYPE_NONE) {
        return refuse(self,
                      "there is no %s '%s'",
                      self->op == NULL ? "op" : "dtype",
                      self->op == NULL ? op : dtype);
    }
    self->row = row_find(self->op, self->dtype, args);
    if (self->row == NULL) {
        return refuse(self, "no generator makes cases of %s in %s", op, dtype);
    }
    return parse_args(self, args);
}

int trial_parse(trial *self, const char *name) {
    memset(self, 0, sizeof *self);
    if (!parse_words(self, name) || !parse_shape(self) || !add_operands(self)) {
        return 0;
    }
    count_outputs(self);
    if (self->row->fill != NULL && !self->row->fill(self)) {
        trial_finish(self);
        return refuse(
            self, "'%s' with these attributes makes no case of %s", self->shape, self->op->name);
    }
    while (self->input_count > 0 && !self->inputs[self->input_count - 1].is_present) {
        self->input_count--;
    }
    return 1;
}

/* ---- listing ---- */

static const char *words_next(const char *text, char *out_word, size_t capacity) {
    text += strspn(text, " ");
    size_t length = strcspn(text, " ");
    if (length == 0 || length >= capacity) {
        return NULL;
    }
    memcpy(out_word, text, length);
    out_word[length] = '\0';
    return text + length;
}

static const char *default_values(fer_dtype dtype) {
    if (dtype == FER_BOOL || dtype == FER_STRING || dtype == FER_F8E8M0) {
        return "ints";
    }
    if (dtype_is_integer(dtype)) {
        return "ints bits extreme";
    }
    if (fer_dtype_bits(dtype) <= 8) {
        return "bits uniform";
    }
    return "ints uniform wide denormal special huge";
}

#include <fnmatch.h>

static int matches(const char *pattern, const char *text) {
    return pattern == NULL || strcmp(pattern, text) == 0 || fnmatch(pattern, text, 0) == 0;
}

typedef struct lister {
    const case_filter *filter;
    case_visit visit;
    void *visit_self;
    const case_row *row;
    const char *label;
    fer_dtype dtype;
    uint32_t number; /* of the row's cases so far: seeds and halving */
} lister;

static int offer(lister *self, const char *shape, const char *attrs, const char *values) {
    char name[CASE_NAME];
    uint32_t number = self->number++;
    if ((self->row->flags & ROW_HALF) != 0 && number % 2 != 0) {
        return 0;
    }
    int length = snprintf(name,
                          sizeof name,
                          "%s/%s/%s/%s/%s/%u",
                          self->label,
                          fer_dtype_name(self->dtype),
                          shape,
                          attrs,
                          values,
                          number / (1 + ((self->row->flags & ROW_HALF) != 0)) % 97);
    static trial probe; /* too large for the stack of a thread; the command has one thread here */
    if (length >= (int)sizeof name || !matches(self->filter->pattern, name) ||
        !trial_parse(&probe, name)) {
        return 0;
    }
    trial_finish(&probe);
    return self->visit(self->visit_self, name);
}

/* Every shape with every attribute text; value families in turn on big shapes, all of them
 * elsewhere. */
static int list_row(lister *self) {
    char shape[64], attrs[CASE_NAME], values[24];
    const char *families =
        self->row->values != NULL ? self->row->values : default_values(self->dtype);
    const char *s = self->row->shapes;
    while ((s = words_next(s, shape, sizeof shape)) != NULL) {
        int is_big = strcmp(shape, "big") == 0 || strcmp(shape, "large") == 0;
        const char *a = self->row->attrs;
        for (uint32_t nth = 0;
             (a = words_next(a, attrs, sizeof attrs)) != NULL && !(is_big && nth > 2);
             nth++) {
            const char *v = families;
            for (uint32_t at = 0;
                 (v = words_next(v, values, sizeof values)) != NULL && !(is_big && at > 1);
                 at++) {
                int stop = offer(self, shape, attrs, values);
                if (stop != 0) {
                    return stop;
                }
            }
        }
    }
    return 0;
}

int cases_each(const case_filter *filter, case_visit visit, void *visit_self) {
    for (uint32_t f = 0; case_family_at(f) != NULL; f++) {
        const case_family *family = case_family_at(f);
        for (uint32_t i = 0; i < family->count; i++) {
            const case_row *row = &family->rows[i];
            const op_row *op = op_row_find(row->op, strlen(row->op));
            if (op == NULL || !op_row_is_built(op) || !matches(filter->op, row->op)) {
                continue;
            }
            uint32_t mask = row_mask(row, op);
            lister list = {.filter = filter,
                           .visit = visit,
                           .visit_self = visit_self,
                           .row = row,
                           .label = row->op};
            for (fer_dtype dtype = 1; dtype < FER_DTYPE_COUNT; dtype++) {
                if ((mask >> dtype & 1) == 0 || !matches(filter->dtype, fer_dtype_name(dtype))) {
                    continue;
                }
                list.dtype = dtype;
                list.number = 0;
                int stop = list_row(&list);
                if (stop != 0) {
                    return stop;
                }
            }
        }
    }
    return 0;
}
