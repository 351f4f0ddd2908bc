/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables for wrappers that pass a level on as it is: every slot calls the same slot of the inner
 * device. A wrapper's device object begins with feri_kit_forward, and it names only the tables
 * whose levels it does not change. Execs, instances, streams and events are the inner device's own.
 */
#ifndef FERI_KIT_FORWARD_H
#define FERI_KIT_FORWARD_H

#include "ferrule/backend.h"

typedef struct feri_kit_forward {
    const fer_backend_module *inner; /* complete: no table and no slot is NULL */
    void *handle;                    /* the inner device */
} feri_kit_forward;

extern const fer_backend_memory feri_kit_forward_memory;
extern const fer_backend_async feri_kit_forward_async;
extern const fer_backend_interop feri_kit_forward_interop;
extern const fer_backend_observe feri_kit_forward_observe;

#endif
