/* SPDX-License-Identifier: Apache-2.0
 *
 * Structs that a host passes begin with their size. One that ends before what this header has of it
 * is refused before anything behind struct_size is touched; what lies behind ours is not looked at.
 */
#ifndef FERI_KIT_SIZED_H
#define FERI_KIT_SIZED_H

#include "ferrule/backend.h"

#define FERI_KIT_IS_SHORT(it) ((it)->struct_size < sizeof(*(it)))

static inline fer_status feri_kit_short(const fer_host *host) {
    return host->fail(host->self,
                      FER_INVALID_ARGUMENT,
                      /*native_code=*/0,
                      /*node=*/NULL,
                      "a struct of the call is shorter than this ABI version has it");
}

/* For create, which has no host to tell before both are known to be whole. */
static inline int feri_kit_create_is_short(const fer_create_args *args) {
    return FERI_KIT_IS_SHORT(args) || FERI_KIT_IS_SHORT(args->host);
}

#endif
