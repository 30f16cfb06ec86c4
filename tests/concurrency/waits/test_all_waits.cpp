// SPDX-License-Identifier: BSL-1.0
// What holds of every call in which a task can wait.
#include "waits.hpp"

TEST_CASE("waits: a tree of tasks shows the call in which each waits", "[waits]") {
    test::check_names(test::waits());
}

TEST_CASE("waits: cancelled, they end, and leave nothing behind", "[waits]") {
    test::check_cancelled(test::waits());
}

TEST_CASE(
    "waits: a loop that is stopped destroys them where they are, one alone and all at "
    "once",
    "[waits]"
) {
    test::check_abandoned(test::waits());
}
