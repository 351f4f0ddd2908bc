/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of elements to and from double, from packed memory of any alignment: f32 and f64 in straight
 * loops, for that is where runs spend their time; the others by their codes (convert_codes.c).
 */
#include "tensor/dtype.h"
#include "tensor/small_float.h"

#include <string.h>

void feri_load_run_f64(
    fer_dtype dtype, const void *data, uint64_t index, uint64_t count, double *out) {
    if (dtype == FER_F32) {
        const uint8_t *from = (const uint8_t *)data + index * sizeof(float);
        for (uint64_t i = 0; i < count; i++) {
            float element;
            memcpy(&element, from + i * sizeof element, sizeof element);
            out[i] = (double)element;
        }
    } else if (dtype == FER_F64) {
        if (count) {
            memcpy(out, (const uint8_t *)data + index * sizeof *out, count * sizeof *out);
        }
    } else {
        feri_load_codes_f64(dtype, data, index, count, out);
    }
}

void feri_store_run_f64(fer_dtype dtype,
                        void *data,
                        uint64_t index,
                        uint64_t count,
                        const double *values,
                        int32_t saturate) {
    if (dtype == FER_F32) {
        uint8_t *to = (uint8_t *)data + index * sizeof(float);
        for (uint64_t i = 0; i < count; i++) {
            float element = (float)values[i];
            memcpy(to + i * sizeof element, &element, sizeof element);
        }
    } else if (dtype == FER_F64) {
        if (count) {
            memcpy((uint8_t *)data + index * sizeof *values, values, count * sizeof *values);
        }
    } else {
        feri_store_codes_f64(dtype, data, index, count, values, saturate);
    }
}

int64_t feri_load_i64(fer_dtype dtype, const void *data, uint64_t index) {
    int64_t value;
    feri_load_run_i64(dtype, data, index, 1, &value);
    return value;
}

double feri_load_f64(fer_dtype dtype, const void *data, uint64_t index) {
    double value;
    feri_load_run_f64(dtype, data, index, 1, &value);
    return value;
}
