// SPDX-License-Identifier: BSL-1.0
#include "os/per_process.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <memory>
#include <mutex>

using mp::os::PerProcess;

namespace {

struct Registry {
    std::mutex mutex;
    int entries = 0;
};

/// Keeps something of its parent's.
struct Inherited {
    void take_over(std::unique_ptr<Inherited> parents) {
        generation = parents->generation + 1;
    }

    int generation = 0;
};

Inherited& inherited() {
    return PerProcess<Inherited, mp::os::AtFork::takes_over>::get();
}

}  // namespace

TEST_CASE("PerProcess: one object in a process, another one in a forked child") {
    Registry& mine = PerProcess<Registry>::get();
    mine.entries = 7;
    CHECK(&PerProcess<Registry>::get() == &mine);
    const int entries =
        test::run_in_fork([] { return PerProcess<Registry>::get().entries; });
    CHECK(entries == 0);
    CHECK(mine.entries == 7);
}

TEST_CASE("PerProcess: a lock that was held at the fork is free in the child") {
    Registry& mine = PerProcess<Registry>::get();
    const std::lock_guard held(mine.mutex);
    const int status = test::run_in_fork([] {
        const bool is_free = PerProcess<Registry>::get().mutex.try_lock();
        return is_free ? 0 : 1;
    });
    CHECK(status == 0);
}

TEST_CASE("PerProcess: a type that takes over from its parent's gets that one") {
    CHECK(inherited().generation == 0);
    const int generations = test::run_in_fork([] {
        return 10 * inherited().generation +
               test::run_in_fork([] { return inherited().generation; });
    });
    CHECK(generations == 12);
}
