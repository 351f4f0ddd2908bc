/* SPDX-License-Identifier: Apache-2.0
 *
 * Numbers as text and back, in any locale: ONNX's Cast between strings and numbers. Used inside
 * lib/host only.
 */
#ifndef FERI_HOST_NUMBER_TEXT_H
#define FERI_HOST_NUMBER_TEXT_H

#include "ferrule/ferrule.h"

#include <stddef.h>
#include <stdint.h>

#define FERI_NUMBER_TEXT_BYTES 32

/* Element index of data (dtype numeric or bool), not NUL-terminated; returns the length. Floats:
 * the fewest digits that read back as the same value of the dtype, plain ("314.15926") where the
 * exponent lies in [-4, 8) ([-4, 17) for f64), else scientific ("1e+20"); NaN, INF, -INF. bool: 1
 * or 0. */
size_t feri_number_print(fer_dtype dtype,
                         const void *data,
                         uint64_t index,
                         char out[FERI_NUMBER_TEXT_BYTES]);

/* Reads text as element index of data. Blanks around it are allowed; INF, Infinity, NaN, true and
 * false in any case. Integers are cut off towards zero. Returns 0 when the text is no number or not
 * one the integer dtype holds. */
int feri_number_parse(
    fer_dtype dtype, const char *text, size_t length, int32_t saturate, void *data, uint64_t index);

#endif
