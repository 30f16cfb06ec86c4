// SPDX-License-Identifier: BSL-1.0
#include "os/address_space.hpp"

#include "os/file_text.hpp"
#include "os/page.hpp"

#include <sys/auxv.h>
#include <sys/resource.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace mp::os {

namespace {

constexpr auto unlimited = std::numeric_limits<std::size_t>::max();

/// Of all the addresses that there can be, one reservation takes no more than one part
/// in so many, and those that belong together no more than these.
constexpr std::size_t parts_for_one = 64;
constexpr std::size_t parts_for_several = 16;

std::size_t limit_of(__rlimit_resource resource) noexcept {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
        return unlimited;
    }
    return limit.rlim_cur;
}

/// The kernel puts the first stack near the top of the addresses that the processor
/// has, so a place in it tells how many bits they have. (The caller's own stack may be
/// a thread's, or a coroutine's.)
std::size_t all_addresses() noexcept {
    const int width = static_cast<int>(std::bit_width(::getauxval(AT_RANDOM)));
    return std::size_t{1} << static_cast<unsigned>(std::clamp(width, 38, 62));
}

/// What RLIMIT_AS counts.
std::size_t addresses_in_use() {
    return number_in_file<std::size_t>("/proc/self/statm").value_or(0) * page_size();
}

std::string text_of(std::size_t limit) {
    return limit == unlimited ? "unlimited" : std::to_string(limit);
}

}  // namespace

std::size_t largest_reservation(std::size_t parts, std::size_t count) {
    const std::size_t all = all_addresses();
    std::size_t most = std::min(all / parts_for_one, all / parts_for_several / count);
    if (const std::size_t limit = limit_of(RLIMIT_AS); limit != unlimited) {
        const std::size_t left = limit - std::min(limit, addresses_in_use());
        most = std::min(most, left / parts / count);
    }
    return rounded_down(std::min(most, limit_of(RLIMIT_FSIZE)), page_size());
}

std::string address_limits() {
    return "RLIMIT_AS (ulimit -v) is " + text_of(limit_of(RLIMIT_AS)) +
           ", RLIMIT_FSIZE (ulimit -f) " + text_of(limit_of(RLIMIT_FSIZE));
}

}  // namespace mp::os
