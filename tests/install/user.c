/* SPDX-License-Identifier: Apache-2.0
 *
 * A user of the installed library: builds Relu by hand and runs it on ref.
 */
#include <ferrule/ferrule.h>
#include <stdio.h>

int main(void) {
    fer_context *context = NULL;
    fer_device *device = NULL;
    fer_tensor *in = NULL, *out = NULL;
    float data[4] = {-1, 2, -3, 4};
    const float want[4] = {0, 2, 0, 4};
    FER_CHECK(fer_context_create(NULL, &context));
    FER_CHECK(fer_device_find(context, "ref:0", &device));
    FER_CHECK(fer_tensor_wrap(context, FER_F32, 1, (const int64_t[]){4}, data, &in));
    FER_CHECK(fer_op_run(context, device, "", "Relu", NULL, 0, &in, 1, &out, 1));
    const float *got = fer_tensor_data(out);
    int wrong = 0;
    for (int i = 0; i < 4; i++) {
        wrong += got[i] != want[i];
    }
    fer_tensor_release(out);
    fer_tensor_release(in);
    fer_device_release(device);
    fer_context_release(context);
    printf("ferrule %s: %d wrong\n", fer_version_string(), wrong);
    return wrong;
}
