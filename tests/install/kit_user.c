/* SPDX-License-Identifier: Apache-2.0
 *
 * A backend's author with the installed kit: strides of a shape, and bytes of what is smaller than one.
 */
#include <ferrule/kit/geometry.h>
#include <stdio.h>

int main(void) {
    int64_t strides[3] = {0};
    feri_kit_strides(3, (const int64_t[]){2, 3, 4}, strides);
    int wrong = strides[0] != 12 || strides[1] != 4 || strides[2] != 1;
    wrong |= feri_kit_bytes(FER_F32, 6) != 24 || feri_kit_bytes(FER_I4, 5) != 3;
    printf("%d wrong\n", wrong);
    return wrong;
}
