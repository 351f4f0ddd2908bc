/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs on a device with memory and streams of its own: right values, where things lie, what the
 * record says.
 */
#include "sim_fixture.h"

static void relu_runs_in_device_memory(void **state) {
    (void)state;
    fer_context *context = sim_context();
    fer_program *program = chain_program(context, 4, (const char *[]){"Relu"}, 1, "sim");
    for (int i = 0; i < 3; i++) {
        OK(run_floats(program, context, NULL, (float[]){-1, 2, -3, 4}, 4, (float[]){0, 2, 0, 4}));
    }
    sim_stats stats = sim_get_stats(0);
    assert_int_equal(stats.kernels, 3);
    assert_int_equal(stats.runs_async, 3);
    assert_true(stats.copies_in == 3 && stats.copies_out == 3);
    assert_int_equal(stats.compiles, 1);
    fer_program_release(program);
    fer_context_release(context);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SIM_TEST(relu_runs_in_device_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
