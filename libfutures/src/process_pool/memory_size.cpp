// SPDX-License-Identifier: BSL-1.0
#include "process_pool/memory_size.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <exception>

namespace futures::detail {

namespace os = mp::os;

MemorySize memory_size() noexcept {
    // In pages: all, resident, shared, text, 0, data and stack, 0.
    std::array<char, 256> text{};
    try {
        const mp::UniqueFd file(os::new_fd("open /proc/self/statm", [] {
            return ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
        }));
        os::restarting([&] { return read(file.get(), text.data(), text.size() - 1); });
    } catch (const std::exception&) {
        return {};
    }
    std::array<std::uint64_t, 6> pages{};
    std::size_t field = 0;
    for (const char c : text) {
        if (c == ' ') {
            ++field;
        } else if (c < '0' || c > '9') {
            break;
        }
        if (field == pages.size()) {
            break;
        }
        if (c != ' ') {
            pages[field] = pages[field] * 10 + static_cast<std::uint64_t>(c - '0');
        }
    }
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return {.resident = pages[1] * page, .data = pages[5] * page};
}

}  // namespace futures::detail
