/* SPDX-License-Identifier: Apache-2.0
 *
 * Structs that cross the API begin with their size: copying a caller's, shorter or longer than
 * ours, in and out. Every run does both.
 */
#include "base/error.h"

#include <string.h>

fer_status feri_struct_in(void *full, size_t size, const void *given, const char *what) {
    uint32_t full_size = (uint32_t)size;
    memset(full, 0, size);
    uint32_t given_size = full_size;
    if (given) {
        memcpy(&given_size, given, sizeof given_size);
        given_size = given_size ? given_size : full_size;
        if (given_size < sizeof given_size) {
            return feri_fail(FER_INVALID_ARGUMENT,
                             "%s.struct_size is %u; set it to sizeof the struct, or to 0",
                             what,
                             given_size);
        }
        const uint8_t *bytes = given;
        for (size_t i = size; i < given_size; i++) {
            if (bytes[i]) {
                return feri_fail(FER_INVALID_ARGUMENT,
                                 "%s has a field at byte %zu that this library does not know; it "
                                 "was built against a newer header",
                                 what,
                                 i);
            }
        }
        memcpy(full, given, given_size < size ? given_size : size);
    }
    memcpy(full, &full_size, sizeof full_size);
    return FER_OK;
}

void feri_struct_out(void *given, const void *full, size_t size) {
    if (!given) {
        return;
    }
    uint32_t given_size = 0;
    memcpy(&given_size, given, sizeof given_size);
    size_t reach = given_size && given_size < size ? given_size : size;
    if (reach > sizeof given_size) {
        memcpy((uint8_t *)given + sizeof given_size,
               (const uint8_t *)full + sizeof given_size,
               reach - sizeof given_size);
    }
}
