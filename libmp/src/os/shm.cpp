// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/shm.hpp"

#include "mp/errors.hpp"

#include "os/address_space.hpp"
#include "os/check.hpp"
#include "os/control_group.hpp"
#include "os/file_text.hpp"
#include "os/new_fd.hpp"
#include "os/page.hpp"

#include <boost/interprocess/mapped_region.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <string_view>

namespace mp::detail {

namespace ipc = boost::interprocess;

namespace {

/// What mapped_region wants to see of a file.
class Mappable {
public:
    explicit Mappable(int fd) noexcept : fd_(fd) {}

    ipc::mapping_handle_t get_mapping_handle() const {
        return ipc::ipcdetail::mapping_handle_from_file_handle(fd_);
    }

private:
    int fd_;
};

ipc::mapped_region map_whole(int fd, std::size_t size) {
    try {
        // NORESERVE: most of it is never touched. DONTDUMP: a core file is not the
        // place for other processes' data.
        ipc::mapped_region region(
            Mappable(fd),
            ipc::read_write,
            0,
            size,
            nullptr,
            ipc::default_map_options | MAP_NORESERVE
        );
        madvise(region.get_address(), size, MADV_DONTDUMP);
        return region;
    } catch (const ipc::interprocess_exception& error) {
        throw ResourceLimitExceeded(
            "cannot map a shared segment of " + std::to_string(size) +
            " bytes: " + error.what() + " (" + os::address_limits() + ")"
        );
    }
}

/// Then a page of a segment that the system has not promised to all is SIGBUS.
bool overcommit_is_off() {
    return os::number_in_file<int>("/proc/sys/vm/overcommit_memory") == 2;
}

}  // namespace

void check_file_size_limit(std::size_t size) {
    rlimit limit{};
    os::check(getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) {
        throw ResourceLimitExceeded(
            "a shared segment of " + std::to_string(size) +
            " bytes is beyond RLIMIT_FSIZE (ulimit -f), which is " +
            std::to_string(limit.rlim_cur)
        );
    }
}

struct Segment::Mapping {
    ipc::mapped_region region;
};

Segment::Segment() noexcept = default;

Segment::Segment(const char* name, std::size_t size) {
    check_file_size_limit(size);
    fd_ = os::new_fd("memfd_create", [name] {
        return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    });
    os::check_restarting("ftruncate", [&] {
        return ftruncate(fd_.get(), static_cast<off_t>(size));
    });
    // A process that shrank it would kill the others with SIGBUS.
    os::check(
        fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
        "F_ADD_SEALS"
    );
    mapping_ = std::make_unique<Mapping>(Mapping{map_whole(fd_.get(), size)});
}

Segment Segment::up_to(const char* name, std::size_t size, std::size_t least) {
    for (;;) {
        try {
            return {name, size};
        } catch (const ResourceLimitExceeded&) {
            if (size <= least) {
                throw;
            }
            size = std::max(os::rounded_down(size / 2, os::page_size()), least);
        }
    }
}

Segment::Segment(UniqueFd fd) : fd_(std::move(fd)) {
    struct stat status {};
    os::check(fstat(fd_.get(), &status), "fstat");
    const auto size = static_cast<std::size_t>(status.st_size);
    mapping_ = std::make_unique<Mapping>(Mapping{map_whole(fd_.get(), size)});
}

Segment::Segment(UniqueFd fd, std::size_t size)
    : fd_(std::move(fd)),
      mapping_(std::make_unique<Mapping>(Mapping{map_whole(fd_.get(), size)})) {}

Segment::Segment(Segment&&) noexcept = default;
Segment& Segment::operator=(Segment&&) noexcept = default;
Segment::~Segment() = default;

std::byte* Segment::data() const noexcept {
    return mapping_ ? static_cast<std::byte*>(mapping_->region.get_address()) : nullptr;
}

std::size_t Segment::size() const noexcept {
    return mapping_ ? mapping_->region.get_size() : 0;
}

void Segment::punch_hole(std::size_t offset, std::size_t size) noexcept {
    os::restarting([&] {
        return fallocate(
            fd_.get(),
            FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
            static_cast<off_t>(offset),
            static_cast<off_t>(size)
        );
    });
}

void Segment::dont_fork() const noexcept {
    madvise(data(), size(), MADV_DONTFORK);
}

std::size_t available_memory() {
    std::size_t available = std::numeric_limits<std::size_t>::max();
    std::size_t commit_limit = available;
    std::size_t committed = 0;
    const std::string text = os::text_of_file("/proc/meminfo").value_or("");
    os::Words lines(text, "\n");
    for (auto line = lines.next(); !line.empty(); line = lines.next()) {
        os::Words words(line);
        const std::string_view key = words.next();
        const auto read_bytes = [&](std::size_t& bytes) {
            if (const auto kilobytes = words.next_number<std::size_t>()) {
                bytes = *kilobytes * 1024;
            }
        };
        if (key == "MemAvailable:") {
            read_bytes(available);
        } else if (key == "CommitLimit:") {
            read_bytes(commit_limit);
        } else if (key == "Committed_AS:") {
            read_bytes(committed);
        }
    }
    if (overcommit_is_off()) {
        available =
            std::min(available, commit_limit - std::min(commit_limit, committed));
    }
    return std::min(available, os::left_in_control_groups());
}

void check_available_memory(std::size_t size, const char* what) {
    const std::size_t available = available_memory();
    if (size > available) {
        throw ResourceLimitExceeded(
            std::string(what) + " of " + std::to_string(size) +
            " bytes does not fit the available memory of " + std::to_string(available)
        );
    }
}

}  // namespace mp::detail
