// SPDX-License-Identifier: BSL-1.0
#include "support/failpoints.hpp"

#include "os/failpoint.hpp"

#include <unistd.h>

#include <cstdlib>
#include <utility>

namespace test {

bool may_go_on_to_die() noexcept;

namespace {

Failpoint armed;
Failpoint armed_next;

}  // namespace

bool may_go_on_to_die() noexcept {
    if (armed.tickets.empty()) {
        return true;
    }
    for (int i = 0; i < 100; ++i) {
        if (::unlink((armed.tickets + "/" + std::to_string(i)).c_str()) == 0) {
            return true;
        }
    }
    return false;
}

void arm(Failpoint first, Failpoint next) {
    armed = std::move(first);
    armed_next = std::move(next);
}

int seeds(int usual) {
    const char* const given = std::getenv("MP_TEST_SEEDS");
    return given != nullptr ? std::atoi(given) : usual;
}

}  // namespace test

namespace mp::os {

void pass_failpoint(const char* name) noexcept {
    using test::armed;
    if (armed.passes <= 0 || armed.name != name || --armed.passes > 0 ||
        !test::may_go_on_to_die()) {
        return;
    }
    const int sent = armed.sent;
    armed.passes = 0;
    ::kill(::getpid(), sent);
    while (sent == SIGKILL) {
        ::pause();
    }
    armed = std::exchange(test::armed_next, {});
}

}  // namespace mp::os
