"""An operations platform for PostgreSQL-backed products: backup, disaster recovery, SLO, GDPR."""

__version__ = "0.1.0"
