// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/shm.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/control_group.hpp"
#include "os/new_fd.hpp"

#include <boost/interprocess/mapped_region.hpp>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <limits>
#include <locale>
#include <string>

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
            " bytes: " + error.what()
        );
    }
}

std::size_t number_in(const std::string& path, std::size_t otherwise) {
    std::ifstream file(path);
    file.imbue(std::locale::classic());
    std::size_t value = 0;
    return file >> value ? value : otherwise;  // "max" is no number
}

/// What the control group of this process leaves, at its own level.
std::size_t left_in_control_group() {
    constexpr auto unlimited = std::numeric_limits<std::size_t>::max();
    const std::string group = os::control_group();
    if (group.empty()) {
        return unlimited;
    }
    const std::string folder = "/sys/fs/cgroup" + group;
    const std::size_t limit = number_in(folder + "/memory.max", unlimited);
    const std::size_t used = number_in(folder + "/memory.current", 0);
    return limit == unlimited ? unlimited : limit - std::min(limit, used);
}

}  // namespace

void check_file_size_limit(std::size_t size) {
    rlimit limit{};
    os::check(getrlimit(RLIMIT_FSIZE, &limit), "getrlimit");
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < size) {
        throw ResourceLimitExceeded(
            "a shared segment of " + std::to_string(size) +
            " bytes is beyond RLIMIT_FSIZE (" + std::to_string(limit.rlim_cur) + ")"
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

Segment::Segment(UniqueFd fd) : fd_(std::move(fd)) {
    struct stat status {};
    os::check(fstat(fd_.get(), &status), "fstat");
    const auto size = static_cast<std::size_t>(status.st_size);
    mapping_ = std::make_unique<Mapping>(Mapping{map_whole(fd_.get(), size)});
}

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
    std::size_t kilobytes = std::numeric_limits<std::size_t>::max() / 1024;
    std::ifstream file("/proc/meminfo");
    file.imbue(std::locale::classic());
    for (std::string key, rest; file >> key; std::getline(file, rest)) {
        if (key == "MemAvailable:") {
            file >> kilobytes;
            break;
        }
    }
    return std::min(kilobytes * 1024, left_in_control_group());
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
