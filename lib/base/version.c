/* SPDX-License-Identifier: Apache-2.0
 *
 * The version of the library, once.
 */
#include "ferrule/ferrule.h"

#define FERI_TEXT_(x) #x
#define FERI_TEXT(x) FERI_TEXT_(x)

uint32_t fer_version(void) {
    return (uint32_t)FER_VERSION_MAJOR << 16 | (uint32_t)FER_VERSION_MINOR << 8 |
           (uint32_t)FER_VERSION_PATCH;
}

const char *fer_version_string(void) {
    return FERI_TEXT(FER_VERSION_MAJOR) "." FERI_TEXT(FER_VERSION_MINOR) "." FERI_TEXT(
        FER_VERSION_PATCH);
}
