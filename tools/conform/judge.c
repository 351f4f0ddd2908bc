/* SPDX-License-Identifier: Apache-2.0
 *
 * Holds outputs against what is right: exact numbers with a limit in units of the last place (and
 * what the oracle allows beside), elements that were only moved bit by bit, another device's
 * tensor.
 */
#include "command.h"
#include "verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const results[RESULT_COUNT] = {
    "pass", "fail", "unsupported", "not-claimed", "waived", "crash", "timeout", "mistrusted"};
static const char *const rans[RAN_COUNT] = {"nowhere", "native", "expanded", "assisted", "host"};

const char *result_name(int32_t result) {
    return result >= 0 && result < RESULT_COUNT ? results[result] : "?";
}
const char *ran_name(int32_t ran) { return ran >= 0 && ran < RAN_COUNT ? rans[ran] : "?"; }
int32_t result_from_name(const char *name) {
    int32_t result = 0;
    while (result < RESULT_COUNT && strcmp(results[result], name) != 0) {
        result++;
    }
    return result;
}

static void fail(verdict *out, uint32_t output, const char *what) {
    out->result = RESULT_FAIL;
    (void)snprintf(out->sentence, sizeof out->sentence, "output %u %s", output, what);
}

static int same_shape(uint32_t output, const fer_tensor *got, const nd *want, verdict *out) {
    char text[240];
    size_t length = 0;
    int same = fer_tensor_rank(got) == want->rank;
    for (uint32_t i = 0; same && i < want->rank; i++) {
        same = fer_tensor_dims(got)[i] == want->dims[i];
    }
    if (same) {
        return 1;
    }
    length += (size_t)snprintf(text, sizeof text, "has shape [");
    for (uint32_t i = 0; i < fer_tensor_rank(got) && length < 100; i++) {
        length += (size_t)snprintf(text + length,
                                   sizeof text - length,
                                   i > 0 ? ", %lld" : "%lld",
                                   (long long)fer_tensor_dims(got)[i]);
    }
    length += (size_t)snprintf(text + length, sizeof text - length, "], not [");
    for (uint32_t i = 0; i < want->rank && length < 220; i++) {
        length += (size_t)snprintf(text + length,
                                   sizeof text - length,
                                   i > 0 ? ", %lld" : "%lld",
                                   (long long)want->dims[i]);
    }
    (void)snprintf(text + length, sizeof text - length, "]");
    fail(out, output, text);
    return 0;
}

static const void *contents(fer_tensor *tensor, void **out_copy) {
    const void *data = fer_tensor_data(tensor);
    uint64_t bytes = fer_tensor_bytes(tensor);
    *out_copy = NULL;
    if (data == NULL && bytes > 0) {
        *out_copy = malloc(bytes);
        if (*out_copy != NULL && fer_tensor_read(tensor, 0, *out_copy, bytes) == FER_OK) {
            return *out_copy;
        }
    }
    return data;
}

static void note(verdict *out,
                 uint32_t output,
                 uint64_t at,
                 long double got,
                 long double want,
                 long double distance,
                 long double allowed) {
    int is_first = out->result == RESULT_PASS || out->result == RESULT_MISTRUSTED;
    int is_worse = !(distance / allowed <= (long double)out->error / (long double)out->limit);
    if (is_first || is_worse) {
        out->error = (double)distance;
        out->limit = (double)allowed;
        out->at = at;
        out->result = RESULT_FAIL;
        (void)snprintf(out->sentence,
                       sizeof out->sentence,
                       "output %u at %llu is %.9Lg, not %.9Lg",
                       output,
                       (unsigned long long)at,
                       got,
                       want);
    }
}

static int is_float(fer_dtype dtype) {
    return !dtype_is_integer(dtype) && dtype != FER_BOOL && dtype != FER_STRING;
}

/* want is exact; got may be its rounding or within limit of it. */
static void judge_one(uint32_t output,
                      fer_dtype dtype,
                      double ulps,
                      uint64_t at,
                      long double got,
                      long double want,
                      long double slack,
                      verdict *out) {
    if (isnan(want) || isnan(got)) {
        if (isnan(want) != isnan(got)) {
            note(out, output, at, got, want, INFINITY, 1);
        }
        return;
    }
    if (got == want) {
        return;
    }
    if (!is_float(dtype)) {
        if (!(fabsl(got - want) <= slack)) {
            note(out, output, at, got, want, fabsl(got - want), slack > 0 ? slack : 1);
        }
        return;
    }
    long double most = dtype_most(dtype), step = dtype_ulp(dtype, want);
    if (isinf(want) || isinf(got)) {
        /* Beyond the largest number by rounding, or within reach of it. */
        int beyond = fabsl(want) + (long double)ulps * step + slack >= most + step / 2;
        if (!isinf(got) || !beyond || (got > 0) != (want > 0)) {
            note(out, output, at, got, want, INFINITY, 1);
        }
        return;
    }
    long double allowed = (long double)ulps * step + slack, distance = fabsl(got - want);
    if (distance <= allowed) {
        if (distance / allowed >
            (long double)out->error / (long double)(out->limit > 0 ? out->limit : 1)) {
            out->error = (double)distance;
            out->limit = (double)allowed;
            out->at = at;
        }
        return;
    }
    note(out, output, at, got, want, distance, allowed);
}

static void mistrust(const trial *self, uint64_t zeros, uint64_t count, verdict *out) {
    if (out->result == RESULT_PASS && count >= 8 && zeros * 10 > count * 9 &&
        (self->row->flags & ROW_ZEROS) == 0) {
        out->result = RESULT_MISTRUSTED;
        (void)snprintf(out->sentence,
                       sizeof out->sentence,
                       "%llu of %llu elements are zero, which proves little",
                       (unsigned long long)zeros,
                       (unsigned long long)count);
    }
}

static void judge_strings(uint32_t output, fer_tensor *got, const nd *want, verdict *out) {
    for (uint64_t i = 0; i < want->count; i++) {
        size_t length = 0;
        const char *text = fer_tensor_string(got, i, &length);
        if (text_number(text, length) != want->v[i]) {
            char shown[100];
            (void)snprintf(shown,
                           sizeof shown,
                           "at %llu is '%.*s', which is another string",
                           (unsigned long long)i,
                           (int)(length < 40 ? length : 40),
                           text);
            out->at = i;
            fail(out, output, shown);
            return;
        }
    }
}

static void
judge_numbers(const trial *self, uint32_t output, fer_tensor *got, const nd *want, verdict *out) {
    uint64_t zeros = 0, parts;
    fer_dtype dtype = dtype_part(fer_tensor_dtype(got), &parts);
    void *copy = NULL;
    if (!same_shape(output, got, want, out)) {
        return;
    }
    if (dtype == FER_STRING) {
        judge_strings(output, got, want, out);
        return;
    }
    const void *data = contents(got, &copy);
    /* Below a power of two the next number is half a unit away. */
    double ulps = (self->row->flags & ROW_EXACT) != 0 ? 0.25 : limit_ulps(self->op, dtype);
    for (uint64_t i = 0; data != NULL && i < want->count * parts; i++) {
        long double value = number_get(dtype, data, i);
        zeros += value == 0 && is_float(dtype);
        judge_one(output,
                  dtype,
                  ulps,
                  i,
                  value,
                  want->v[i],
                  want->slack != NULL ? want->slack[i] : 0,
                  out);
    }
    if (data == NULL && want->count > 0) {
        fail(out, output, "cannot be read");
    }
    mistrust(self, zeros, want->count * parts, out);
    free(copy);
}

/* The bits of an element: its bytes, or for less than a byte its number. */
static int same_bits(fer_dtype dtype, const void *a, uint64_t i, const void *b, uint64_t j) {
    static const unsigned char zero[16];
    uint32_t bits = fer_dtype_bits(dtype);
    if (bits < 8) {
        unsigned x =
            ((const unsigned char *)a)[i * bits / 8] >> (i * bits % 8) & ((1u << bits) - 1);
        unsigned y = b == NULL ? 0
                               : ((const unsigned char *)b)[j * bits / 8] >> (j * bits % 8) &
                                     ((1u << bits) - 1);
        return x == y;
    }
    const char *want = b == NULL ? (const char *)zero : (const char *)b + j * bits / 8;
    return memcmp((const char *)a + i * bits / 8, want, bits / 8) == 0;
}

static int same_string(fer_tensor *got, uint64_t i, fer_tensor *want, uint64_t j) {
    size_t a = 0, b = 0;
    const char *x = fer_tensor_string(got, i, &a);
    const char *y = want != NULL ? fer_tensor_string(want, j, &b) : "";
    return a == b && (a == 0 || memcmp(x, y, a) == 0);
}

static void
judge_moved(const trial *self, uint32_t output, fer_tensor *got, const nd *want, verdict *out) {
    fer_dtype dtype = fer_tensor_dtype(got);
    void *copy = NULL;
    if (!same_shape(output, got, want, out)) {
        return;
    }
    const void *data = dtype == FER_STRING ? NULL : contents(got, &copy);
    for (uint64_t i = 0; i < want->count; i++) {
        uint64_t id = want->v[i] < 0 ? 0 : (uint64_t)want->v[i];
        uint64_t input = id >> 40, element = id & (((uint64_t)1 << 40) - 1);
        fer_tensor *source = input > 0 ? self->inputs[input - 1].tensor : NULL;
        int same =
            dtype == FER_STRING
                ? same_string(got, i, source, element)
                : data != NULL &&
                      same_bits(
                          dtype, data, i, source != NULL ? fer_tensor_data(source) : NULL, element);
        if (!same) {
            out->result = RESULT_FAIL;
            out->at = i;
            (void)snprintf(out->sentence,
                           sizeof out->sentence,
                           "output %u at %llu is not element %llu of '%s'",
                           output,
                           (unsigned long long)i,
                           (unsigned long long)element,
                           source != NULL ? self->inputs[input - 1].name : "zero");
            break;
        }
    }
    free(copy);
}

static void
judge_tensor(const trial *self, uint32_t output, fer_tensor *got, const nd *want, verdict *out) {
    fer_dtype dtype = fer_tensor_dtype(got);
    if (want->dtype != FER_DTYPE_NONE && dtype != want->dtype) {
        fail(out, output, "has another dtype");
    } else if ((self->row->flags & ROW_MOVEMENT) != 0 && (output == 0 || dtype == self->dtype)) {
        judge_moved(self, output, got, want, out);
    } else {
        judge_numbers(self, output, got, want, out);
    }
}

void judge_value(const trial *self, uint32_t output, fer_value *got, const nd *want, verdict *out) {
    int32_t kind = want->kind != 0 ? want->kind : FER_KIND_TENSOR;
    if (got == NULL || fer_value_kind(got) != kind) {
        fail(out, output, "is of another kind");
        return;
    }
    if (kind == FER_KIND_TENSOR) {
        judge_tensor(self, output, fer_value_tensor(got), want, out);
        return;
    }
    if (fer_value_count(got) != want->item_count) {
        fail(out, output, "has another number of items");
        return;
    }
    for (uint32_t i = 0; i < want->item_count && out->result != RESULT_FAIL; i++) {
        judge_value(self, output, fer_value_item(got, i), &want->items[i], out);
    }
}

void judge_tensors(const trial *self,
                   uint32_t output,
                   fer_tensor *got,
                   fer_tensor *want,
                   double factor,
                   verdict *out) {
    fer_dtype dtype = fer_tensor_dtype(got), other = fer_tensor_dtype(want);
    nd shape = {.rank = fer_tensor_rank(want), .count = fer_tensor_element_count(want)};
    memcpy(shape.dims, fer_tensor_dims(want), shape.rank * sizeof *shape.dims);
    if (!same_shape(output, got, &shape, out)) {
        return;
    }
    if (dtype == FER_STRING || other == FER_STRING) {
        for (uint64_t i = 0; i < shape.count; i++) {
            if (dtype != other || !same_string(got, i, want, i)) {
                fail(out, output, "has other strings");
                return;
            }
        }
        return;
    }
    void *copy = NULL, *other_copy = NULL;
    const void *data = contents(got, &copy), *right = contents(want, &other_copy);
    uint64_t zeros = 0, parts;
    other = dtype_part(other, &parts);
    fer_dtype part = dtype_part(dtype, &parts);
    double ulps = limit_ulps(self->op, part) * factor + (factor > 1 ? 1 : 0);
    for (uint64_t i = 0; data != NULL && right != NULL && i < shape.count * parts; i++) {
        long double value = number_get(part, data, i);
        zeros += value == 0 && is_float(part);
        judge_one(output, part, ulps, i, value, number_get(other, right, i), 0, out);
    }
    mistrust(self, zeros, shape.count * parts, out);
    free(copy);
    free(other_copy);
}
