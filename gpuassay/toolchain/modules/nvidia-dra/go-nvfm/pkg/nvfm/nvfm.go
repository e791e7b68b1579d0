// Package nvfm stands in for NVIDIA's fabric manager bindings, which the module registry does not serve.
//
// The DRA driver uses them only to partition NVSwitch fabrics, behind a feature gate that is off. Every call answers
// that the library is not available, as it is on a machine without NVSwitch. The names are those that the driver uses.
package nvfm

// Return is the answer of a call.
type Return int

const (
	// SUCCESS is never answered here.
	SUCCESS Return = 0
	// unavailable is what every call answers.
	unavailable Return = -1
)

// String says what the answer means.
func (r Return) String() string {
	if r == SUCCESS {
		return "success"
	}
	return "no fabric manager: this build has none"
}

// FabricPartitionId names a partition.
type FabricPartitionId uint32

// GpuInfo describes a GPU of a partition.
type GpuInfo struct {
	PhysicalId          uint32
	Uuid                [80]int8
	PciBusId            [16]int8
	NumNvLinksAvailable uint32
	MaxNumNvLinks       uint32
	NvlinkLineRateMBps  uint32
}

// PartitionInfo describes a partition.
type PartitionInfo struct {
	PartitionId FabricPartitionId
	IsActive    uint32
	NumGpus     uint32
	GpuInfo     [16]GpuInfo
}

// FabricPartitionList holds partitions; always none.
type FabricPartitionList struct {
	NumPartitions uint32
	PartitionInfo [64]PartitionInfo
}

// Handle is a connection; none is ever made.
type Handle interface {
	Disconnect() Return
	GetSupportedFabricPartitions() (FabricPartitionList, Return)
	ActivateFabricPartition(FabricPartitionId) Return
	DeactivateFabricPartition(FabricPartitionId) Return
}

// Interface is the library.
type Interface interface {
	Init() Return
	Shutdown() Return
	Connect(...ConnectOption) (Handle, Return)
}

// LibraryOption is taken and not used.
type LibraryOption func()

// ConnectOption is taken and not used.
type ConnectOption func()

// WithLibraryPath would name the library's file.
func WithLibraryPath(string) LibraryOption { return func() {} }

// WithUnixSocket would name the socket of the fabric manager.
func WithUnixSocket(string) ConnectOption { return func() {} }

// WithAddress would name the address of the fabric manager.
func WithAddress(string) ConnectOption { return func() {} }

// WithTimeoutMs would limit the wait for a connection, in milliseconds.
func WithTimeoutMs(uint32) ConnectOption { return func() {} }

// New gives a library without a fabric manager.
func New(...LibraryOption) Interface { return absent{} }

type absent struct{}

func (absent) Init() Return                              { return unavailable }
func (absent) Shutdown() Return                          { return SUCCESS }
func (absent) Connect(...ConnectOption) (Handle, Return) { return nil, unavailable }
