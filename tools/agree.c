/* SPDX-License-Identifier: Apache-2.0
 *
 * Is a value what was expected? Kinds, dtypes and shapes exactly, numbers within atol + rtol
 * |want|, NaN only where NaN is expected, strings byte for byte.
 */
#include "command.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int refuse(agreement *out, const char *format, const char *got, const char *want) {
    if (out->sentence[0] == '\0') {
        (void)snprintf(out->sentence, sizeof out->sentence, format, got, want);
    }
    return 0;
}

static void shape_text(const fer_tensor *tensor, char *out, size_t capacity) {
    size_t length = (size_t)snprintf(out, capacity, "[");
    for (uint32_t i = 0; i < fer_tensor_rank(tensor) && length + 24 < capacity; i++) {
        length += (size_t)snprintf(out + length,
                                   capacity - length,
                                   "%s%lld",
                                   i > 0 ? ", " : "",
                                   (long long)fer_tensor_dims(tensor)[i]);
    }
    (void)snprintf(out + length, capacity - length, "]");
}

/* Contents in host memory: the tensor's own, or a copy to free. */
static const void *contents(const fer_tensor *tensor, void **out_copy) {
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

static void note(agreement *out, uint64_t index, double got, double want, double excess) {
    if (out->differing++ == 0 || excess > out->worst) {
        out->worst = excess;
        (void)snprintf(out->sentence,
                       sizeof out->sentence,
                       "at %llu it is %.9g, not %.9g",
                       (unsigned long long)index,
                       got,
                       want);
    }
}

static void compare_numbers(fer_dtype dtype,
                            const void *got,
                            const void *want,
                            uint64_t count,
                            double rtol,
                            double atol,
                            agreement *out) {
    for (uint64_t i = 0; i < count; i++) {
        double a = element_get(dtype, got, i), b = element_get(dtype, want, i);
        double a_im = element_imaginary(dtype, got, i), b_im = element_imaginary(dtype, want, i);
        int same_nan = isnan(a) == isnan(b) && isnan(a_im) == isnan(b_im);
        if (same_nan && (isnan(a) || isnan(a_im) || (a == b && a_im == b_im))) {
            continue;
        }
        double distance = hypot(a - b, a_im - b_im), size = hypot(b, b_im);
        if (!same_nan || isinf(size) || !(distance <= atol + rtol * size)) {
            note(out, i, a, b, isnan(distance) ? INFINITY : distance - atol - rtol * size);
        }
    }
    out->compared += count;
}

static int compare_strings(const fer_tensor *got, const fer_tensor *want, agreement *out) {
    for (uint64_t i = 0; i < fer_tensor_element_count(want); i++) {
        size_t got_length = 0, want_length = 0;
        const char *a = fer_tensor_string(got, i, &got_length);
        const char *b = fer_tensor_string(want, i, &want_length);
        if (got_length != want_length || (want_length > 0 && memcmp(a, b, want_length) != 0)) {
            out->differing++;
            (void)refuse(out,
                         "it has string '%.100s' where '%.100s' is expected",
                         a != NULL ? a : "",
                         b != NULL ? b : "");
        }
        out->compared++;
    }
    return out->differing == 0;
}

static int tensors_agree(
    const fer_tensor *got, const fer_tensor *want, double rtol, double atol, agreement *out) {
    fer_dtype dtype = fer_tensor_dtype(want);
    uint32_t rank = fer_tensor_rank(want);
    if (fer_tensor_dtype(got) != dtype) {
        return refuse(
            out, "it is %s, not %s", fer_dtype_name(fer_tensor_dtype(got)), fer_dtype_name(dtype));
    }
    if (fer_tensor_rank(got) != rank ||
        (rank > 0 &&
         memcmp(fer_tensor_dims(got), fer_tensor_dims(want), rank * sizeof(int64_t)) != 0)) {
        char a[140], b[140];
        shape_text(got, a, sizeof a);
        shape_text(want, b, sizeof b);
        return refuse(out, "its shape is %s, not %s", a, b);
    }
    if (dtype == FER_STRING) {
        return compare_strings(got, want, out);
    }
    if (fer_tensor_element_count(want) == 0) {
        return 1;
    }
    void *got_copy, *want_copy;
    const void *a = contents(got, &got_copy), *b = contents(want, &want_copy);
    uint64_t before = out->differing;
    if (a == NULL || b == NULL) {
        out->differing++;
        (void)refuse(out, "its contents cannot be read%s%s", "", "");
    } else {
        compare_numbers(dtype, a, b, fer_tensor_element_count(want), rtol, atol, out);
    }
    free(got_copy);
    free(want_copy);
    return out->differing == before;
}

int values_agree(
    const fer_value *got, const fer_value *want, double rtol, double atol, agreement *out) {
    int32_t kind = fer_value_kind(want), got_kind = fer_value_kind(got);
    if (kind != got_kind) {
        return refuse(out, "its kind is %s, not %s", kind_name(got_kind), kind_name(kind));
    }
    if (kind == FER_KIND_TENSOR) {
        return tensors_agree(fer_value_tensor(got), fer_value_tensor(want), rtol, atol, out);
    }
    if (fer_value_count(got) != fer_value_count(want)) {
        char a[24], b[24];
        (void)snprintf(a, sizeof a, "%llu", (unsigned long long)fer_value_count(got));
        (void)snprintf(b, sizeof b, "%llu", (unsigned long long)fer_value_count(want));
        return refuse(out, "it has %s items, not %s", a, b);
    }
    int same = 1;
    for (uint64_t i = 0; i < fer_value_count(want); i++) {
        same &= values_agree(fer_value_item(got, i), fer_value_item(want, i), rtol, atol, out);
    }
    return same;
}
