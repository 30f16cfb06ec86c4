// SPDX-License-Identifier: BSL-1.0
// What the dynamic loader has mapped, and loading one more by its build-id.
#include "data/module.hpp"

#include "mp/errors.hpp"
#include "mp/fd.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"
#include "util/hex.hpp"

#include <climits>

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

namespace mp::detail {

using namespace std::string_view_literals;

namespace {

// Modules that load_module() has loaded: the loader knows them by the name of a
// descriptor that is closed by now.
// They stay for ever: used while exiting, and by the handlers of signals.
struct LoadedHere {
    std::string name;
    std::string path;
    const LoadedHere* next = nullptr;
};

constinit std::atomic<const LoadedHere*> loaded_here{nullptr};

std::size_t padded(std::size_t size, std::size_t alignment) {
    return (size + alignment - 1) / alignment * alignment;
}

/// The build-id in a note segment; empty if there is none.
std::string_view build_id_in(std::string_view notes, std::size_t alignment) noexcept {
    const std::size_t align = alignment == 8 ? 8 : 4;
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        std::memcpy(&note, notes.data(), sizeof note);
        const std::size_t text = padded(sizeof note + note.n_namesz, align);
        const std::size_t end = text + note.n_descsz;
        if (end > notes.size()) {
            break;
        }
        const std::string_view name = notes.substr(sizeof note, note.n_namesz);
        if (note.n_type == NT_GNU_BUILD_ID && name == "GNU\0"sv) {
            return notes.substr(text, note.n_descsz);
        }
        notes.remove_prefix(std::min(padded(end, align), notes.size()));
    }
    return {};
}

Module described(const dl_phdr_info& info) {
    Module module;
    module.base = info.dlpi_addr;
    module.path = info.dlpi_name;
    for (std::size_t i = 0; i < info.dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = info.dlpi_phdr[i];
        const std::uintptr_t begin = info.dlpi_addr + segment.p_vaddr;
        if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
            // Linked without -z separate-code, the first one begins with the headers.
            const std::size_t headers =
                segment.p_offset == 0
                    ? sizeof(ElfW(Ehdr)) + info.dlpi_phnum * sizeof(ElfW(Phdr))
                    : 0;
            module.code.push_back({begin + headers, begin + segment.p_memsz});
        } else if (segment.p_type == PT_NOTE && module.build_id.empty()) {
            // NOLINTNEXTLINE(performance-no-int-to-ptr): an address found by arithmetic
            const auto* notes = reinterpret_cast<const char*>(begin);
            module.build_id = build_id_in({notes, segment.p_memsz}, segment.p_align);
        }
    }
    return module;
}

struct Scan {
    // How often the loader has loaded and unloaded something: both unchanged means that
    // the modules are the same.
    unsigned long long loads = 0;
    unsigned long long unloads = 0;
    std::vector<Module> modules;
    bool fresh = false;
    std::exception_ptr failed;
};

int visit(dl_phdr_info* info, std::size_t, void* to) {
    auto& scan = *static_cast<Scan*>(to);
    if (!scan.fresh) {
        if (!scan.modules.empty() && scan.loads == info->dlpi_adds &&
            scan.unloads == info->dlpi_subs) {
            return 1;
        }
        scan.modules.clear();
        scan.loads = info->dlpi_adds;
        scan.unloads = info->dlpi_subs;
        scan.fresh = true;
    }
    try {
        scan.modules.push_back(described(*info));
        return 0;
    } catch (...) {
        scan.failed = std::current_exception();
        return 1;
    }
}

/// Kept per thread, so that no lock can be held by another thread while this one forks.
/// Not a thread_local object: that would end at exit(), or before others of its thread,
/// while handlers and destructors still start processes.
Scan& scan_of_this_thread() {
    static const pthread_key_t key = [] {
        pthread_key_t made{};
        const int error = ::pthread_key_create(&made, [](void* scan) {
            delete static_cast<Scan*>(scan);
        });
        if (error != 0) {
            os::throw_error(error, "pthread_key_create");
        }
        return made;
    }();
    auto* scan = static_cast<Scan*>(::pthread_getspecific(key));
    if (scan == nullptr) {
        auto fresh = std::make_unique<Scan>();
        scan = fresh.get();
        if (const int error = ::pthread_setspecific(key, scan); error != 0) {
            os::throw_error(error, "pthread_setspecific");
        }
        static_cast<void>(fresh.release());
    }
    return *scan;
}

/// A name by which the loader opens the file of `fd`. It takes a name that it has seen
/// for the same library, and descriptor numbers come again: so each name is new.
std::string new_name_of(int fd, const std::string& path) {
    static std::atomic<std::size_t> names{0};
    std::string name = "/proc/self/fd/";
    for (std::size_t i = names.fetch_add(1); i > 0; --i) {
        name += "./";
    }
    name += std::to_string(fd);
    auto* const added = new LoadedHere{.name = name, .path = path};
    added->next = loaded_here.load();
    while (!loaded_here.compare_exchange_weak(added->next, added)) {
    }
    return name;
}

bool read_exactly(int fd, void* to, std::size_t size, std::uint64_t offset) {
    return os::restarting([&] {
               return ::pread(fd, to, size, static_cast<off_t>(offset));
           }) == static_cast<ssize_t>(size);
}

}  // namespace

std::optional<std::string> build_id_of_file(int fd) {
    constexpr std::size_t longest_notes = 1 << 20;
    ElfW(Ehdr) header;
    if (!read_exactly(fd, &header, sizeof header, 0) ||
        std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header.e_phentsize != sizeof(ElfW(Phdr))) {
        return std::nullopt;
    }
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        ElfW(Phdr) segment;
        if (!read_exactly(
                fd, &segment, sizeof segment, header.e_phoff + i * sizeof segment
            )) {
            return std::nullopt;
        }
        if (segment.p_type != PT_NOTE || segment.p_filesz > longest_notes) {
            continue;
        }
        std::string notes(segment.p_filesz, '\0');
        if (!read_exactly(fd, notes.data(), notes.size(), segment.p_offset)) {
            return std::nullopt;
        }
        if (const auto id = build_id_in(notes, segment.p_align); !id.empty()) {
            return std::string(id);
        }
    }
    return std::string();
}

std::string_view build_id_in_memory(std::string_view mapped) noexcept {
    ElfW(Ehdr) header;
    if (mapped.size() < sizeof header) {
        return {};
    }
    std::memcpy(&header, mapped.data(), sizeof header);
    // Where the headers are no part of what is mapped, something else begins there.
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phoff > mapped.size() ||
        header.e_phnum * sizeof(ElfW(Phdr)) > mapped.size() - header.e_phoff) {
        return {};
    }
    // Of a program without random addresses the file names those in memory.
    const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(mapped.data());
    std::uintptr_t base = begin;
    ElfW(Phdr) segment;
    const auto read_segment = [&](unsigned i) {
        std::memcpy(
            &segment,
            mapped.data() + header.e_phoff + i * sizeof segment,
            sizeof segment
        );
    };
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        read_segment(i);
        if (segment.p_type == PT_LOAD && segment.p_offset == 0) {
            base = begin - segment.p_vaddr;
        }
    }
    for (unsigned i = 0; i < header.e_phnum; ++i) {
        read_segment(i);
        const std::uintptr_t at = base + segment.p_vaddr - begin;
        if (segment.p_type == PT_NOTE && at < mapped.size() &&
            segment.p_memsz <= mapped.size() - at) {
            const auto notes = mapped.substr(at, segment.p_memsz);
            if (const auto id = build_id_in(notes, segment.p_align); !id.empty()) {
                return id;
            }
        }
    }
    return {};
}

const char* path_loaded_as(const char* name) noexcept {
    for (const LoadedHere* known = loaded_here.load(); known != nullptr;
         known = known->next) {
        if (known->name == name) {
            return known->path.c_str();
        }
    }
    return name;
}

bool Module::has_code_at(std::uintptr_t address) const noexcept {
    return std::any_of(code.begin(), code.end(), [address](const Range& range) {
        return address - range.begin < range.end - range.begin;
    });
}

const std::vector<Module>& loaded_modules() {
    Scan& scan = scan_of_this_thread();
    scan.fresh = false;
    dl_iterate_phdr(visit, &scan);
    if (scan.failed) {
        scan.modules.clear();
        std::rethrow_exception(std::exchange(scan.failed, nullptr));
    }
    return scan.modules;
}

const Module* module_with_code_at(std::uintptr_t address) {
    const auto& modules = loaded_modules();
    const auto found =
        std::find_if(modules.begin(), modules.end(), [&](const Module& module) {
            return module.has_code_at(address);
        });
    return found != modules.end() ? &*found : nullptr;
}

namespace {

bool is_file_at(const std::string& path, int fd) noexcept {
    struct stat by_path {};
    struct stat by_fd {};
    return ::stat(path.c_str(), &by_path) == 0 && ::fstat(fd, &by_fd) == 0 &&
           by_path.st_ino == by_fd.st_ino && by_path.st_dev == by_fd.st_dev;
}

bool is_loaded(std::string_view build_id) {
    const auto& modules = loaded_modules();
    return std::any_of(modules.begin(), modules.end(), [&](const Module& module) {
        return module.build_id == build_id;
    });
}

[[noreturn]] void throw_cannot_load(const std::string& wanted) {
    const char* reason = ::dlerror();
    throw BinaryMismatch(
        wanted +
        "which cannot be loaded here: " + (reason != nullptr ? reason : "unknown")
    );
}

}  // namespace

void load_module(const std::string& path, std::string_view build_id) {
    const std::string wanted =
        "the function is in " + path + " (build-id " + to_hex(build_id) + "), ";
    const UniqueFd file =
        os::try_new_fd([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
    if (!file) {
        throw BinaryMismatch(
            wanted + "which cannot be opened here: " + os::last_error().message()
        );
    }
    const auto found = build_id_of_file(file.get());
    if (!found) {
        throw BinaryMismatch(wanted + "which is no shared library here");
    }
    if (*found != build_id) {
        throw BinaryMismatch(
            wanted + "but the file there now has " +
            (found->empty() ? "no build-id" : "build-id " + to_hex(*found))
        );
    }
    // By its path where that is this very file: it may look for its own dependencies
    // beside itself ($ORIGIN). The loader takes another library, if it has one of an
    // older file by that name.
    if (is_file_at(path, file.get())) {
        void* const loaded = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
        if (loaded == nullptr) {
            throw_cannot_load(wanted);
        }
        if (is_loaded(build_id)) {
            return;
        }
        ::dlclose(loaded);
    }
    const std::string name = new_name_of(file.get(), path);
    if (::dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
        throw_cannot_load(wanted);
    }
}

const std::string& Module::findable_path() const {
    if (absolute_.empty()) {
        absolute_ = path_loaded_as(path.c_str());
        char absolute[PATH_MAX];
        // An absolute one stays: its folder is the module's $ORIGIN, links and all.
        if (!absolute_.starts_with('/') &&
            ::realpath(path.c_str(), absolute) != nullptr) {
            absolute_ = absolute;
        }
    }
    return absolute_;
}

}  // namespace mp::detail
