// SPDX-License-Identifier: BSL-1.0
#include "os/prefault.hpp"

#include "os/page.hpp"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace mp::os {
namespace {

// The kernel headers of older systems do not know it.
constexpr int populate_read = 22;  // MADV_POPULATE_READ

// Page tables are not free: of a huge program, this much of each module.
constexpr std::uintptr_t max_bytes = 8UL << 20U;

int prefault_module(dl_phdr_info* module, std::size_t, void*) {
    const std::uintptr_t page = page_size();
    for (int i = 0; i < module->dlpi_phnum; ++i) {
        const auto& segment = module->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) {
            continue;
        }
        const std::uintptr_t begin =
            (module->dlpi_addr + segment.p_vaddr) & ~(page - 1);
        const std::uintptr_t end =
            module->dlpi_addr + segment.p_vaddr + segment.p_memsz;
        ::madvise(
            // NOLINTNEXTLINE(performance-no-int-to-ptr): rounded to a page
            reinterpret_cast<void*>(begin),
            std::min(end - begin, max_bytes),
            populate_read
        );
    }
    return 0;
}

}  // namespace

void prefault_code() noexcept {
    ::dl_iterate_phdr(prefault_module, nullptr);
}

}  // namespace mp::os
