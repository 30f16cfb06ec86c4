// SPDX-License-Identifier: BSL-1.0
// A pool's worker is killed while it gives memory back, or while it waits for room in a
// small arena. The library's sources are linked with their failpoints.
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/soon.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace {

std::string text_of(std::size_t size) {
    return std::string(size, 'x');
}

futures::ProcessPoolOptions isolating(int workers) {
    return {
        .max_workers = workers,
        .mp_context = mp::get_context(mp::StartMethod::fork),
        .on_worker_loss = futures::OnWorkerLoss::isolate};
}

/// Whether its process has ended, reaped or not.
bool has_ended(pid_t pid) {
    pollfd entry{
        .fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)),
        .events = POLLIN,
        .revents = 0};
    const bool ended = entry.fd < 0 || ::poll(&entry, 1, 20'000) == 1;
    ::close(entry.fd);
    return ended;
}

}  // namespace

TEST_CASE("G13: an idle worker killed while it gives memory back", "[faults]") {
    const std::string point = GENERATE(
        as<std::string>(), "worker: before the trim", "worker: after the trim"
    );
    test::arm({point});
    futures::ProcessPoolExecutor pool(isolating(2));
    for (int round = 0; round < 2; ++round) {
        std::vector<futures::Future<std::string>> kept;
        for (int i = 0; i < 20; ++i) {
            kept.push_back(pool.submit(text_of, std::size_t{1} << 20U));
        }
        // Before the pool is idle nobody comes to that place.
        for (auto& future : kept) {
            CHECK(future.result().size() == std::size_t{1} << 20U);
        }
        CHECK(test::soon([&] {
            return pool.statistics().workers_lost >=
                   static_cast<std::uint64_t>(round) + 1;
        }));
        test::arm({round == 0 ? point : std::string()});
    }
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE("G13: a worker killed while it waits for room", "[faults]") {
    const int status = test::run_in_fork([] {
        rlimit limit{};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = rlim_t{4} << 20U;
        ::setrlimit(RLIMIT_FSIZE, &limit);
        test::arm({"worker: waits for room"});
        futures::ProcessPoolExecutor pool(isolating(1));
        auto first = pool.submit(text_of, std::size_t{1});
        // The manager takes no results meanwhile.
        first.add_done_callback([&](const futures::Future<std::string>&) {
            has_ended(pool.workers().at(0));
        });
        std::vector<futures::Future<std::string>> kept;
        for (int i = 0; i < 20; ++i) {
            kept.push_back(pool.submit(text_of, std::size_t{700'000}));
        }
        // Not by a result(): that would take results in this thread.
        test::soon([&] { return pool.statistics().workers_lost > 0; });
        test::arm({});
        int lost = 0;
        for (auto& future : kept) {
            try {
                if (future.result().size() != 700'000) {
                    return 1;
                }
            } catch (const futures::WorkerLost&) {
                ++lost;
            }
        }
        // The one that took its place may have been forked before that place was safe.
        const auto deaths = pool.statistics().workers_lost;
        return lost > 0 && static_cast<std::uint64_t>(lost) == deaths ? 0 : 2;
    });
    CHECK(status == 0);
}
