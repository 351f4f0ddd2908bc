/* SPDX-License-Identifier: Apache-2.0
 *
 * Contents of operands, from the case's name alone: value families, ranges and lists; and
 * attributes as the builder takes them.
 */
#include "case.h"
#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* splitmix64 */
static uint64_t next_random(uint64_t *state) {
    uint64_t mixed = *state += 0x9e3779b97f4a7c15u;
    mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111ebu;
    return mixed ^ mixed >> 31;
}

static double unit_random(uint64_t *state) { return (double)(next_random(state) >> 11) * 0x1p-53; }

static uint64_t name_hash(const char *text) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    }
    return hash;
}

static long double integer_value(const char *family, fer_dtype dtype, uint64_t *state) {
    uint64_t bits = next_random(state);
    int is_signed = dtype_is_signed(dtype);
    long double most = dtype_most(dtype), least = is_signed ? -most - 1 : 0;
    if (strcmp(family, "bits") == 0) {
        return wrap_to(dtype, (wide_int)(bits));
    }
    if (strcmp(family, "extreme") == 0) {
        long double choices[] = {
            least, most, least + 1, most - 1, 0, 1, is_signed ? -1 : 2, floorl(most / 2)};
        return choices[bits >> 61];
    }
    int64_t small = (int64_t)(bits >> 40) % 9 - (is_signed ? 4 : 0);
    return (long double)small > most    ? most
           : (long double)small < least ? least
                                        : (long double)small;
}

static double special_value(double most, uint64_t *state) {
    uint64_t bits = next_random(state);
    switch (bits >> 60) {
    case 0:
        return NAN;
    case 1:
        return INFINITY;
    case 2:
        return -INFINITY;
    case 3:
        return -0.0;
    case 4:
        return 0;
    case 5:
        return 1;
    case 6:
        return -1;
    case 7:
        return most;
    default:
        return unit_random(state) * 4 - 2;
    }
}

static double float_value(const char *family, fer_dtype dtype, uint64_t *state) {
    double most = (double)dtype_most(dtype);
    double sign = next_random(state) >> 63 != 0 ? -1 : 1;
    if (strcmp(family, "uniform") == 0) {
        return unit_random(state) * 2 - 1;
    }
    if (strcmp(family, "wide") == 0) {
        double span = fer_dtype_bits(dtype) <= 8                         ? 3
                      : fer_dtype_bits(dtype) == 16 && dtype != FER_BF16 ? 7
                                                                         : 14;
        return sign * exp2((unit_random(state) * 2 - 1) * span);
    }
    if (strcmp(family, "denormal") == 0) {
        double step = (double)dtype_ulp(dtype, 0);
        /* Past the smallest normal number, so that the border is met from both sides. */
        return sign * step *
               floor(exp2(unit_random(state) * 1.2 * -log2((double)dtype_unit(dtype))));
    }
    if (strcmp(family, "special") == 0) {
        return special_value(most, state);
    }
    if (strcmp(family, "huge") == 0) {
        static const double parts[] = {1, 0.5, 0.75, 0.999};
        return sign * most * parts[next_random(state) >> 62];
    }
    return (double)((int64_t)(next_random(state) >> 40) % 9 - 4);
}

static void random_bits(fer_dtype dtype, void *data, uint64_t count, uint64_t *state) {
    uint64_t bytes = (count * fer_dtype_bits(dtype) + 7) / 8;
    for (uint64_t i = 0; i < bytes; i++) {
        ((unsigned char *)data)[i] = (unsigned char)(next_random(state) >> 56);
    }
    if (fer_dtype_bits(dtype) < 8 && count * fer_dtype_bits(dtype) % 8 != 0) {
        ((unsigned char *)data)[bytes - 1] &=
            (unsigned char)((1u << (count * fer_dtype_bits(dtype) % 8)) - 1);
    }
}

static long double one_value(const trial *self, const case_input *input, uint64_t *state) {
    fer_dtype dtype = input->dtype;
    if (dtype == FER_BOOL) {
        return next_random(state) >> 63;
    }
    if (input->fill == FILL_RANGE) {
        double value = input->low + (input->high - input->low) * unit_random(state);
        return dtype_is_integer(dtype) ? floor(value + 0.5) : value;
    }
    long double value = dtype_is_integer(dtype)
                            ? integer_value(self->values, dtype, state)
                            : (long double)float_value(self->values, dtype, state);
    if (input->fill == FILL_POSITIVE) {
        value = fabsl(value);
        value = value > dtype_most(dtype) && isfinite(value) ? dtype_most(dtype) : value;
    }
    if (value == 0 && (input->fill == FILL_POSITIVE || input->fill == FILL_NONZERO)) {
        value = 1;
    }
    return value;
}

static fer_status
string_values(const trial *self, case_input *input, fer_context *context, uint64_t *state) {
    static const char *const texts[] = {
        "", "a", "chip", "Ferrule", "two words", "\xc3\xa9t\xc3\xa9", "x1", "-3.5"};
    static const char *const numbers[] = {"0", "17", "3", "100", "+5", "1", "42", "007"};
    static const char *const negative[] = {"-1", "17", "-3", "-128", "+5", "127", "-42", "-0"};
    static const char *const reals[] = {
        "3.25", "-0.1", "1e-5", "6.5E2", "INF", "-inf", "NaN", "+Inf"};
    const char *const *words = strcmp(self->values, "numbers") == 0  ? numbers
                               : strcmp(self->values, "signed") == 0 ? negative
                               : strcmp(self->values, "reals") == 0  ? reals
                                                                     : texts;
    uint64_t count = dims_count(input->rank, input->dims);
    uint32_t own = input->words != NULL ? text_pieces(input->words) : 0;
    const char **items = calloc(count + 1, sizeof *items);
    if (items == NULL) {
        return FER_OUT_OF_MEMORY;
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t drawn = next_random(state) >> 32;
        items[i] =
            own > 0 ? text_piece(self, input->words, (uint32_t)(drawn % own)) : words[drawn >> 29];
    }
    fer_status status =
        fer_tensor_create_strings(context, input->rank, input->dims, items, NULL, &input->tensor);
    free((void *)items);
    return status;
}

static int is_raw(const trial *self, const case_input *input) {
    return input->fill == FILL_FAMILY && strcmp(self->values, "bits") == 0 &&
           input->dtype != FER_BOOL;
}

static fer_status
fill_input(const trial *self, case_input *input, uint32_t index, fer_context *context) {
    uint64_t state = name_hash(self->name) + index * 0x9e37u;
    if (input->dtype == FER_STRING) {
        return string_values(self, input, context, &state);
    }
    fer_status status =
        fer_tensor_create(context, input->dtype, input->rank, input->dims, &input->tensor);
    if (status != FER_OK) {
        return status;
    }
    void *data = fer_tensor_data(input->tensor);
    uint64_t count = fer_tensor_element_count(input->tensor);
    uint64_t parts;
    fer_dtype part = dtype_part(input->dtype, &parts);
    if (is_raw(self, input)) {
        random_bits(input->dtype, data, count, &state);
        return FER_OK;
    }
    for (uint64_t i = 0; i < count * parts; i++) {
        long double value;
        if (input->fill == FILL_LIST) {
            value =
                input->list_count > 0 ? (long double)input->list[i / parts % input->list_count] : 0;
        } else if (input->fill == FILL_WHEEL) {
            value = fmodl((long double)i * (long double)input->low, (long double)input->high);
        } else {
            value = one_value(self, input, &state);
        }
        number_set(part, data, i, value);
    }
    return FER_OK;
}

static long double string_number(const fer_tensor *tensor, uint64_t index) {
    size_t length = 0;
    const char *text = fer_tensor_string(tensor, index, &length);
    return text_number(text, length);
}

static void read_numbers(const trial *self, case_input *input, uint32_t index) {
    nd_make(self, &input->number, input->rank, input->dims);
    const void *data = fer_tensor_data(input->tensor);
    uint64_t parts;
    fer_dtype part = dtype_part(input->dtype, &parts);
    for (uint64_t i = 0; i < input->number.count * (input->is_moved ? 1 : parts); i++) {
        input->number.v[i] = input->is_moved ? (long double)((uint64_t)(index + 1) << 40 | i)
                             : input->dtype == FER_STRING ? string_number(input->tensor, i)
                                                          : number_get(part, data, i);
    }
}

fer_status trial_values(trial *self, fer_context *context) {
    for (uint32_t i = 0; i < self->input_count; i++) {
        case_input *input = &self->inputs[i];
        if (!input->is_present) {
            continue;
        }
        fer_status status = fill_input(self, input, i, context);
        if (status != FER_OK) {
            return status;
        }
        read_numbers(self, input, i);
    }
    return FER_OK;
}
