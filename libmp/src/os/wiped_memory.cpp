// SPDX-License-Identifier: BSL-1.0
#include "os/wiped_memory.hpp"

#include "os/check.hpp"

#include <sys/mman.h>

namespace mp::os {

void* memory_wiped_at_fork(std::size_t size) {
    void* const memory = ::mmap(
        nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    );
    if (memory == MAP_FAILED) {
        throw_last_error("mmap");
    }
    check(::madvise(memory, size, MADV_WIPEONFORK), "madvise(MADV_WIPEONFORK)");
    return memory;
}

}  // namespace mp::os
