// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_wake.hpp"

#include "os/failpoint.hpp"

#include <bit>
#include <cstddef>

namespace futures::detail {

void wake_worker(const BoardView& view, std::uint32_t worker) noexcept {
    auto& park = view.control(worker).park;
    park.store(1);
    MP_FAILPOINT("worker: before worker wake");
    futex_wake(park, 1, mp::detail::FutexScope::shared);
    MP_FAILPOINT("worker: after worker wake");
}

bool wake_one_worker(const BoardView& view) noexcept {
    BoardHeader& header = view.header();
    const std::uint32_t used = view.places_used();
    for (std::size_t i = 0; i < BoardView::set_words(used); ++i) {
        auto& sleepers = header.sleepers.word(i);
        // Bits of no worker are left to the parent's watch.
        const auto load = [&] {
            return sleepers.load() & BoardView::set_mask(i, used);
        };
        for (auto seen = load(); seen != 0; seen = load()) {
            const auto bit = seen & ~(seen - 1);
            MP_FAILPOINT("worker: before token");
            // The bit first, the wake second: the other order could clear the next
            // registration of the same worker. If a worker is killed between the two,
            // its recovery wakes everybody.
            if ((sleepers.fetch_and(~bit) & bit) != 0) {
                MP_FAILPOINT("worker: after token");
                wake_worker(
                    view,
                    static_cast<std::uint32_t>(i * 64) +
                        static_cast<std::uint32_t>(std::countr_zero(bit))
                );
                return true;
            }
        }
    }
    return false;
}

}  // namespace futures::detail
