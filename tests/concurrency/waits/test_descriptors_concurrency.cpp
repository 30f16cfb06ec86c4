// SPDX-License-Identifier: BSL-1.0
// Descriptors that run out, at each step of all that needs some: the error says so, and
// what was opened before is closed.
#include "futures/process_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/start_method.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/concurrency.hpp"
#include "concurrency/run.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/few_descriptors.hpp"
#include "support/proc.hpp"

#include <signal.h>

#include <string>
#include <system_error>

using concurrency::Task;

namespace {

/// Calls `deed` with room for no descriptor, for one, and so on, until it succeeds, and
/// gives how often it failed.
template <class Deed>
int with_ever_more_room(Deed deed) {
    deed();  // what is made once is made
    const int before = test::open_descriptors();
    for (int room = 0;; ++room) {
        std::string failure;
        {
            const test::FewDescriptors limit(room);
            try {
                deed();
            } catch (const std::exception& error) {
                failure = error.what();
            }
        }
        INFO("with room for " << room);
        CHECK(test::open_descriptors() == before);
        if (failure.empty()) {
            deed();
            return room;
        }
        CHECK_THAT(failure, test::ContainsSubstring("open files"));
        REQUIRE(room < 100);
    }
}

int one() {
    return 1;
}

}  // namespace

TEST_CASE("descriptors: run() where there are none", "[descriptors]") {
    for (const auto backend :
         {concurrency::Backend::io_context, concurrency::Backend::thread_pool}) {
        const int failures = with_ever_more_room([&] {
            concurrency::run([] { return concurrency::sleep(1e-6); }, backend);
        });
        CHECK(failures > 0);
    }
}

TEST_CASE("descriptors: a loop in a thread of its own", "[descriptors]") {
    const int failures = with_ever_more_room([] {
        auto portal = concurrency::start_blocking_portal();
        CHECK(portal->call(one) == 1);
    });
    CHECK(failures > 0);
}

TEST_CASE("descriptors: threads need none", "[descriptors]") {
    test::over_backends([]() -> Task<> {
        const test::FewDescriptors limit(0);
        CHECK_AWAITED(concurrency::run_sync(one), == 1);
    });
}

TEST_CASE("descriptors: a receiver of signals", "[descriptors]") {
    const int run_alone = with_ever_more_room([] {
        concurrency::run([] { return concurrency::checkpoint(); });
    });
    const int failures = with_ever_more_room([] {
        concurrency::run([]() -> Task<> {
            const auto signals = concurrency::open_signal_receiver(SIGUSR1);
            co_await concurrency::checkpoint();
        });
    });
    CHECK(failures > run_alone);
}

TEST_CASE("descriptors: the processes of a loop", "[descriptors]") {
    mp::set_start_method(mp::StartMethod::spawn, {.force = true});
    const int failures = with_ever_more_room([] {
        concurrency::run([]() -> Task<> {
            auto& loop = concurrency::detail::this_task().loop();
            concurrency::detail::Bridge::of(loop).processes().resize(1);
            const int value = co_await concurrency::to_process::run_sync(one);
            CHECK(value == 1);
        });
        mp::stop_helpers();
    });
    CHECK(failures > 0);
}
